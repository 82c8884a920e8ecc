import { TrollfixError } from '../../kernel/errors.ts';
import type { SeatDesk } from '../../ops/seats.ts';
import { liveKitAdmin } from '../../target/livekit/admin.ts';
import type { CommandContext, CommandInput } from '../command.ts';
import { withDatabase } from '../target-database.ts';

/**
 * Opens what seat commands act through, for as long as `work` runs.
 * @throws TF-CFG-005 when the target has no database URL
 */
export async function withSeatDesk<T>(
  context: CommandContext,
  work: (desk: SeatDesk) => Promise<T>,
): Promise<T> {
  return withDatabase(context, 'seat', (database, target) =>
    work({
      database,
      livekit: target.livekit === undefined ? null : liveKitAdmin(target.livekit),
      clock: context.clock,
      signal: context.signal,
      actor: `cli:${context.env.USER ?? context.env.LOGNAME ?? context.env.USERNAME ?? 'unknown'}`,
    }),
  );
}

export function optionText(input: CommandInput, name: string): string | undefined {
  const value = input.options[name];
  return typeof value === 'string' ? value : undefined;
}

/** @throws TF-CLI-003 */
export function requiredOption(input: CommandInput, name: string, flags: string): string {
  const value = optionText(input, name)?.trim();
  if (!value) throw new TrollfixError('TF-CLI-003', `missing option ${flags}`);
  return value;
}

/** @throws TF-CLI-003 */
export function requiredText(input: CommandInput, name: string): string {
  const value = input.arguments[name];
  if (typeof value !== 'string' || value.trim() === '') {
    throw new TrollfixError('TF-CLI-003', `missing argument <${name}>`);
  }
  return value.trim();
}
