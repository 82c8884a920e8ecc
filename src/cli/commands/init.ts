import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseConfigFile } from '../../config/config-file.ts';
import {
  configText,
  hasTarget,
  type NamedVariable,
  type NewTarget,
  variablesOf,
} from '../../config/config-writer.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { isLoopbackHost } from '../../kernel/loopback.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import { writeFileAtomic } from '../atomic-write.ts';
import type { CommandContext, CommandInput, CommandRun } from '../command.ts';
import { alignColumns } from '../output/columns.ts';
import { configFileName } from '../project-dir.ts';

interface Check {
  readonly id: string;
  readonly status: 'ok' | 'warn' | 'fail' | 'skip';
  readonly detail: string;
}

// Somebody waits at the wizard: a project that takes longer is told as unreachable and can be checked later.
const reachDeadlineMs = 5_000;

export const runInit: CommandRun = async (context, input) => {
  const target = await describeTarget(context, input);
  const file = path.resolve(context.projectDir, textOption(input, 'file') ?? configFileName);
  const existing = readIfThere(file);
  if (existing !== undefined) await confirmChange(context, file, existing, target);
  const text = configText(existing, target);
  // what is about to be written must be what the next command reads
  parseConfigFile(text, path.basename(file));
  await writeFileAtomic(file, text);
  const environment = variablesOf(target).map((variable) => ({
    ...variable,
    set: Boolean(context.env[variable.name]),
  }));
  const checks = [
    { id: 'file', status: 'ok' as const, detail: `${path.basename(file)} is written and reads back` },
    ...environment.map(environmentCheck),
    await reachCheck(target, context.env),
  ];
  return {
    data: { file, target: target.name, environment, checks },
    text: () => initText(context, file, target, environment, checks),
  };
};

/** From flags alone when `--url` is given; otherwise the wizard asks for what no flag says. */
async function describeTarget({ prompts }: CommandContext, input: CommandInput): Promise<NewTarget> {
  const given = textOption(input, 'url');
  const asks = given === undefined;
  const supabaseUrl =
    given ??
    (await prompts.text('Supabase URL of the project', { flag: '--url <url>', validate: notHttpUrl }));
  assertUrl('--url', supabaseUrl, ['http:', 'https:']);
  const suggested = URL.parse(supabaseUrl)?.hostname.split('.')[0] ?? 'project';
  const optional = async (flag: string, key: string, question: string, protocols: readonly string[]) => {
    const text =
      textOption(input, key) ?? (asks ? await prompts.text(`${question} (empty: none)`, { flag }) : '');
    if (text === '' || text === undefined) return undefined;
    assertUrl(flag, text, protocols);
    return text;
  };
  const name =
    textOption(input, 'name') ??
    (asks
      ? await prompts.text('Name of the target', { initial: suggested, flag: '--name <target>' })
      : suggested);
  assertName(name);
  return {
    name,
    supabaseUrl,
    livekitUrl: await optional('--livekit-url', 'livekitUrl', 'LiveKit server, wss://…', [
      'ws:',
      'wss:',
      'http:',
      'https:',
    ]),
    hlsUrl: await optional('--hls-url', 'hlsUrl', 'HLS master playlist', ['http:', 'https:']),
    tokenEndpoint: await optional('--token-endpoint', 'tokenEndpoint', 'LiveKit token endpoint', [
      'http:',
      'https:',
    ]),
    limits: await describeLimits({ prompts }, input, asks, supabaseUrl),
  };
}

async function describeLimits(
  { prompts }: Pick<CommandContext, 'prompts'>,
  { options }: CommandInput,
  asks: boolean,
  supabaseUrl: string,
): Promise<NewTarget['limits']> {
  const chaos = options.allowChaos === true;
  if (typeof options.maxRate === 'number' && typeof options.maxUsers === 'number') {
    return { maxRate: `${options.maxRate}/s`, maxUsers: options.maxUsers, chaos };
  }
  if (options.maxRate !== undefined || options.maxUsers !== undefined || chaos) {
    throw new TrollfixError('TF-CLI-003', 'limits need both --max-rate and --max-users', {
      hint: 'for example: `--max-rate 50/s --max-users 200`',
    });
  }
  if (!asks || isLoopbackHost(URL.parse(supabaseUrl)?.hostname ?? '')) return undefined;
  const answer = await prompts.select('Load on this target', [
    { value: 'none', label: 'none: only read and operate it' },
    { value: 'gentle', label: 'gentle: up to 50 operations/s and 100 synthetic users' },
    { value: 'full', label: 'full: up to 500 operations/s and 2000 synthetic users' },
  ]);
  if (answer === 'none') return undefined;
  return answer === 'gentle'
    ? { maxRate: '50/s', maxUsers: 100, chaos: false }
    : { maxRate: '500/s', maxUsers: 2000, chaos: false };
}

async function confirmChange(
  { prompts }: CommandContext,
  file: string,
  existing: string,
  target: NewTarget,
): Promise<void> {
  // a file that cannot be read as it stands is not touched
  parseConfigFile(existing, path.basename(file));
  const what = hasTarget(existing, target.name)
    ? `replace the target "${target.name}"`
    : `add the target "${target.name}"`;
  await prompts.confirm(`${path.basename(file)} is there already: ${what} in it?`);
}

function environmentCheck({ setting, name, set }: NamedVariable & { set: boolean }): Check {
  return set
    ? { id: setting, status: 'ok', detail: `${name} is set` }
    : { id: setting, status: 'warn', detail: `${name} is not set (${setting})` };
}

async function reachCheck(target: NewTarget, env: CommandContext['env']): Promise<Check> {
  const variable = variablesOf(target).find(({ setting }) => setting === 'anonKey');
  const apiKey = env[variable?.name ?? ''] ?? '';
  const rest = new SupabaseRest({
    supabaseUrl: target.supabaseUrl,
    apiKey,
    timeoutMs: reachDeadlineMs,
    connections: 1,
  });
  try {
    const { status, text } = await rest.request('GET', '/auth/v1/health');
    const host = URL.parse(target.supabaseUrl)?.host ?? target.supabaseUrl;
    if (status === 0) return { id: 'reach', status: 'warn', detail: `${host} does not answer: ${text}` };
    if (status === 401 && apiKey !== '')
      return { id: 'reach', status: 'warn', detail: `${host} refuses the anon key` };
    return { id: 'reach', status: 'ok', detail: `${host} answers` };
  } finally {
    await rest.close();
  }
}

function initText(
  { cwd, terminal: { style } }: CommandContext,
  file: string,
  target: NewTarget,
  environment: ReadonlyArray<NamedVariable & { set: boolean }>,
  checks: readonly Check[],
): string {
  const label = { ok: style.green('ok'), warn: style.yellow('warn'), fail: style.red('fail'), skip: 'skip' };
  const missing = environment.filter(({ set }) => !set);
  const lines = [
    `${path.relative(cwd, file) || file}: target ${style.bold(target.name)}`,
    ...alignColumns(
      checks.map(({ status, detail }) => [label[status], detail]),
      { indent: 2 },
    ),
    '',
    'next:',
    ...(missing.length > 0
      ? [
          `  set ${missing.map(({ name }) => name).join(', ')}`,
          '  (export them, or keep them in a file and pass --env-file)',
        ]
      : []),
    `  ${style.cyan(`trollfix doctor --target ${target.name}`)}`,
  ];
  return `${lines.join('\n')}\n`;
}

function textOption({ options }: CommandInput, key: string): string | undefined {
  const value = options[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function notHttpUrl(text: string): string | undefined {
  const protocol = URL.parse(text)?.protocol;
  return protocol === 'http:' || protocol === 'https:' ? undefined : 'a URL such as https://abcd.supabase.co';
}

function assertUrl(flag: string, text: string, protocols: readonly string[]): void {
  const url = URL.parse(text);
  if (url && url.hostname !== '' && protocols.includes(url.protocol)) {
    if (url.username === '' && url.password === '') return;
    throw new TrollfixError('TF-CLI-004', `${flag}: a URL with a user or password in it`, {
      why: 'secrets never come from a flag',
      hint: 'leave it out; the file names variables for secrets',
    });
  }
  throw new TrollfixError('TF-CLI-004', `${flag}: "${text}" is not a URL with ${protocols.join(' or ')}`, {
    hint: 'for example: https://abcd.supabase.co',
  });
}

function assertName(name: string): void {
  if (/^[A-Za-z0-9][\w.-]*$/.test(name) && name !== 'embedded') return;
  throw new TrollfixError('TF-CLI-004', `"${name}" cannot be the name of a target`, {
    why:
      name === 'embedded'
        ? 'embedded is the stack that trollfix brings itself'
        : 'letters, digits, - _ and . are taken',
    hint: 'for example: `--name staging`',
  });
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // an error of the file system carries its code
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TrollfixError('TF-CFG-001', `${file} cannot be read`, { cause: error });
  }
}
