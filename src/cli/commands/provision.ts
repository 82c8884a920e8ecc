import path from 'node:path';
import { TrollfixError } from '../../kernel/errors.ts';
import { checkDrift, type DriftReport } from '../../provision/drift.ts';
import { exportSupabase } from '../../provision/export-supabase.ts';
import { type ProvisionResult, provision } from '../../provision/provision.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { renderTable } from '../output/table.ts';
import { withDatabase } from '../target-database.ts';

export async function runProvision(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const { dryRun, check, exportSupabase: folder } = input.options;
  if ([dryRun, check, folder].filter((option) => option !== undefined && option !== false).length > 1) {
    throw new TrollfixError('TF-CLI-003', 'give one of --dry-run, --check and --export-supabase');
  }
  if (typeof folder === 'string') return runExport(path.resolve(context.cwd, folder));
  return withDatabase(context, 'provision', async (database) => {
    if (check === true) return checkResult(context, await checkDrift(database));
    const { log, progress, signal } = context;
    if (dryRun !== true) progress({ kind: 'step', text: 'provisioning the database' });
    const result = await provision(database, { dryRun: dryRun === true, log, progress, signal });
    if (dryRun !== true) progress({ kind: 'done', text: 'database is provisioned' });
    return {
      data: { mode: dryRun === true ? 'dry-run' : 'apply', ...result },
      text: () => result.sql ?? appliedText(context, result),
    };
  });
}

async function runExport(folder: string): Promise<CommandResult> {
  const result = await exportSupabase(folder);
  const { edgeFunction, config } = result;
  return {
    data: { mode: 'export', ...result },
    text: () =>
      [
        `migrations     ${count(result.written.length, 'file')} written, ${result.unchanged.length} there already: ${result.folder}`,
        `edge function  ${count(edgeFunction.written.length, 'file')} written, ${edgeFunction.unchanged.length} there already: ${edgeFunction.folder}`,
        ...(config.state === 'needs_entry'
          ? [`${config.file} lacks the function's section; add it:\n\n${config.entry}`]
          : []),
        'next:',
        '  supabase db push',
        '  supabase secrets set --env-file livekit.env   (LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET)',
        `  supabase functions deploy ${path.basename(edgeFunction.folder)}`,
        '',
      ].join('\n'),
  };
}

function checkResult(context: CommandContext, report: DriftReport): CommandResult {
  const { drift, objectsChecked, migrationsApplied } = report;
  const first = drift[0];
  const data = { mode: 'check', ...report };
  if (first === undefined) {
    const text = `no drift: ${count(migrationsApplied, 'migration')}, ${count(objectsChecked, 'object')} as they were made\n`;
    return { data, text: () => text };
  }
  const onlyPending = drift.every(({ problem }) => problem === 'pending');
  return {
    data,
    text: () => {
      const rows = drift.map((item) => [item.problem.toUpperCase(), item.kind, item.identity, item.detail]);
      return `${context.terminal.style.bold('drift')}\n${renderTable(['PROBLEM', 'KIND', 'WHAT', 'DETAIL'], rows)}\n`;
    },
    failure: new TrollfixError('TF-PROV-001', `${count(drift.length, 'thing')} differ from the migrations`, {
      why: `first: ${first.kind} ${first.identity} is ${first.problem}`,
      ...(onlyPending ? { hint: 'trollfix provision' } : {}),
    }),
  };
}

function appliedText({ terminal }: CommandContext, result: ProvisionResult): string {
  const { schedule, problems } = result;
  const settles =
    schedule.kind === 'pg_cron'
      ? `pg_cron, "${schedule.schedule}"${schedule.note ? ` (${schedule.note})` : ''}`
      : `trollfix settle --watch${schedule.reason ? ` (${schedule.reason})` : ''}`;
  const lines = [
    result.applied.length === 0
      ? 'migrations   nothing was pending'
      : `migrations   ${result.applied.length} applied:`,
    ...result.applied.map((name) => `               ${name}`),
    ...(result.publication.length > 0 ? [`publication  added ${result.publication.join(', ')}`] : []),
    `settlement   ${settles}`,
    ...problems.map(({ part, message }) => `${terminal.style.yellow('problem')}      ${part}: ${message}`),
  ];
  return `${lines.join('\n')}\n`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
