import { TrollfixError } from '../../kernel/errors.ts';
import { doctor } from '../../provision/doctor.ts';
import type { CheckStatus, DoctorCheck } from '../../provision/doctor-check.ts';
import { openDatabase } from '../../target/postgres/pool.ts';
import type { CommandContext, CommandResult, Configuration, Style } from '../command.ts';
import { alignColumns } from '../output/columns.ts';
import { renderTable } from '../output/table.ts';

export async function runDoctor(context: CommandContext): Promise<CommandResult> {
  const configuration = await context.configuration();
  const target = await context.target();
  const database =
    target.databaseUrl === undefined
      ? undefined
      : openDatabase(target.databaseUrl.reveal(), {
          max: 2,
          applicationName: 'trollfix doctor',
          statementTimeoutMs: 10_000,
        });
  context.progress({ kind: 'step', text: `looking at ${target.name}` });
  try {
    const { clock, signal } = context;
    const checks = await doctor(
      { target, database, clock, signal },
      { onCheck: (check) => context.event('check', { ...check }) },
    );
    const failed = checks.filter(({ status }) => status === 'fail');
    const [first] = failed;
    return {
      data: {
        target: { name: target.name, kind: target.kind },
        checks,
        ...(context.globals.verbose ? { settings: configuration.settings } : {}),
      },
      text: () => doctorText(context, checks, configuration),
      ...(first === undefined
        ? {}
        : {
            failure: new TrollfixError('TF-PROV-003', `${failed.length} of ${checks.length} checks failed`, {
              why: `${first.id}: ${first.detail}`,
              ...(first.fix === null ? {} : { hint: first.fix }),
            }),
          }),
    };
  } finally {
    await database?.end();
  }
}

function doctorText(
  { terminal, globals }: CommandContext,
  checks: readonly DoctorCheck[],
  configuration: Configuration,
): string {
  const { style } = terminal;
  const rows = checks.map(({ status, title, detail }) => [labelOf(style, status), title, detail]);
  const fixes = checks.filter(({ fix }) => fix !== null).map(({ id, fix }) => [id, style.cyan(fix ?? '')]);
  const counted = (['ok', 'warn', 'fail', 'skip'] as const)
    .map((status) => `${checks.filter((check) => check.status === status).length} ${status}`)
    .join(', ');
  const parts = [renderTable(['', 'CHECK', 'FOUND'], rows), `${configuration.target.name}: ${counted}`];
  if (fixes.length > 0) parts.push(['to fix:', ...alignColumns(fixes, { indent: 2 })].join('\n'));
  if (globals.verbose) {
    const origins = configuration.settings.map(({ setting, shown, origin }) => [
      setting,
      shown,
      style.dim(origin),
    ]);
    parts.push(['settings:', ...alignColumns(origins, { indent: 2 })].join('\n'));
  }
  return `${parts.join('\n\n')}\n`;
}

/** The word says it; the colour only repeats it. */
function labelOf(style: Style, status: CheckStatus): string {
  const colour = { ok: style.green, warn: style.yellow, fail: style.red, skip: style.dim }[status];
  return colour.call(style, status);
}
