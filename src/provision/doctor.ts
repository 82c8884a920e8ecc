import { withDeadline } from '../kernel/deadline.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { redact } from '../kernel/redact.ts';
import type { CheckDefinition, DoctorCheck, DoctorContext, Finding } from './doctor-check.ts';
import { databaseChecks } from './doctor-database.ts';
import { guardChecks } from './doctor-guard.ts';
import { serviceChecks } from './doctor-services.ts';
import { settlementChecks } from './doctor-settlement.ts';

/** Longer than any client's own timeout in here (10 s): its error says more than ours. */
const checkDeadlineMs = 15_000;

export const doctorChecks: readonly CheckDefinition[] = [
  ...databaseChecks,
  ...settlementChecks,
  ...serviceChecks,
  ...guardChecks,
];

/**
 * Looks at a target and changes nothing. Checks run one after the other, so that one does not disturb another's
 * timing; one that breaks is itself a finding.
 */
export async function doctor(
  context: DoctorContext,
  options: { onCheck?: (check: DoctorCheck) => void; checks?: readonly CheckDefinition[] } = {},
): Promise<DoctorCheck[]> {
  const done: DoctorCheck[] = [];
  for (const definition of options.checks ?? doctorChecks) {
    context.signal.throwIfAborted();
    const needed = done.find(({ id }) => id === definition.needs);
    const finding =
      needed !== undefined && (needed.status === 'fail' || needed.status === 'skip')
        ? { status: 'skip' as const, detail: `not looked at: ${needed.id} is ${needed.status}` }
        : await examine(definition, context);
    const { id, title } = definition;
    const check = {
      id,
      title,
      status: finding.status,
      detail: redact(finding.detail),
      fix: finding.fix ?? null,
    };
    done.push(check);
    options.onCheck?.(check);
  }
  return done;
}

async function examine(definition: CheckDefinition, context: DoctorContext): Promise<Finding> {
  try {
    return await withDeadline(Promise.resolve(definition.run(context)), checkDeadlineMs, definition.id);
  } catch (error) {
    return {
      status: 'fail',
      detail: messageOf(error),
      ...(error instanceof TrollfixError ? { fix: error.hint } : {}),
    };
  }
}
