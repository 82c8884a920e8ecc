import { randomInt } from 'node:crypto';
import type { Target } from '../../config/target.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { isLoopbackHost } from '../../kernel/loopback.ts';
import { type AttackRow, attackTokenEndpoint } from '../../probes/token/attack.ts';
import { castSize, ownMaxTtlS } from '../../probes/token/cast.ts';
import { attackOwnEndpoint } from '../../probes/token/own-endpoint.ts';
import type { Asker, Part, Scene } from '../../probes/token/scene.ts';
import { RunSession } from '../../run/session.ts';
import { fetchPublicKeys } from '../../target/livekit/public-keys.ts';
import type { TokenForm } from '../../target/livekit/token-form.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, requiredOption, textOption } from '../input-values.ts';
import { renderTable } from '../output/table.ts';
import { createRunId } from '../run-folder.ts';
import { assertSafe, remoteHosts } from '../safety.ts';
import { formOf, givenSessions, givenUrl } from './token-attack-input.ts';

/** Questions per second to an endpoint that is not on this machine: an attack of 110 takes six seconds. */
const remoteRatePerS = 20;

/** An endpoint that holds nothing breaches half the table: what a person reads of it is enough by then. */
const breachesShown = 20;

interface Outcome {
  readonly asked: 'target' | 'session' | 'nobody';
  readonly rows: readonly AttackRow[];
}

export async function runTokenAttack(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const url = givenUrl(input);
  // everything that can be wrong with the command line is told before anything is asked
  if (url !== undefined) formOf(url, input);
  const people = await givenSessions(context, input);
  const isStranger = people !== undefined || textOption(input, 'stream') !== undefined;
  const target = isStranger && url !== undefined ? await targetIfAny(context) : await context.target();
  const endpoint = url ?? target?.tokenEndpoint;
  if (endpoint === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${target?.name}" has no tokenEndpoint`, {
      hint: 'name the endpoint: `trollfix token attack http://…`, or set TOKEN_ENDPOINT',
    });
  }
  const form = formOf(endpoint, input);
  const paceMs = await admitAttack(context, target, form);
  const outcome = isStranger
    ? await attackStranger(context, input, { form, target, people, paceMs })
    : await attackAsTarget(context, input, { form, target: target ?? (await context.target()), paceMs });
  return resultOf(context, form, outcome);
}

/** A loopback endpoint can be attacked without any target. */
async function targetIfAny(context: CommandContext): Promise<Target | undefined> {
  try {
    return await context.target();
  } catch (error) {
    if (error instanceof TrollfixError && !context.globals.target) return undefined;
    throw error;
  }
}

/**
 * The safety guard: an endpoint elsewhere must belong to a configured target, which needs limits and its name.
 * @returns the least time between two questions
 * @throws TF-SAFE-001, TF-SAFE-002, TF-CLI-005
 */
async function admitAttack(
  context: CommandContext,
  target: Target | undefined,
  form: TokenForm,
): Promise<number> {
  const host = hostOf(form.url);
  if (target !== undefined && (remoteHosts(target).length > 0 || !isLoopbackHost(host))) {
    if (!isLoopbackHost(host) && !remoteHosts(target).includes(host)) {
      throw notOfTarget(target.kind === 'embedded' ? undefined : target.name, host);
    }
    const ratePerS = Math.min(remoteRatePerS, target.limits?.maxRate ?? remoteRatePerS);
    await assertSafe(context, target, { what: 'load', ratePerS, users: castSize.users });
    return 1000 / ratePerS;
  }
  if (!isLoopbackHost(host)) throw notOfTarget(undefined, host);
  return 0;
}

function notOfTarget(name: string | undefined, host: string): TrollfixError {
  const target = name ?? '<name>';
  return new TrollfixError(
    'TF-SAFE-001',
    `attack refused: ${host} is not this machine, nor part of a target`,
    {
      why: 'hostile requests go only to what a configured target with limits says is its own',
      hint:
        `write \`tokenEndpoint\` and \`limits: { maxRate: 20/s, maxUsers: 10 }\` under \`targets.${target}\` in trollfix.yaml, ` +
        `and pass \`--target ${target} --confirm ${target}\``,
      details: { host },
    },
  );
}

/** With synthetic users of the target, who are removed again. */
async function attackAsTarget(
  context: CommandContext,
  input: CommandInput,
  { form, target, paceMs }: { form: TokenForm; target: Target; paceMs: number },
): Promise<Outcome> {
  const { clock, signal, log, progress } = context;
  const seed = randomInt(2 ** 31);
  const session = await RunSession.open({
    ...{ target, seed, clock, signal, log, progress, series: () => {} },
    runId: createRunId(clock.now(), randomInt(0x1_0000)),
  });
  try {
    const maxTtlMs = numberOption(input, 'maxTtl');
    const rows = await attackOwnEndpoint(session.contextFor('token'), {
      ...{ form, paceMs, trusted: isOwn(target, form.url), onRow: reporter(context) },
      ...(maxTtlMs === undefined ? {} : { maxTtlS: maxTtlMs / 1000 }),
    });
    if (typeof rows === 'string') throw new TrollfixError('TF-TOK-005', rows);
    return { asked: 'target', rows };
  } finally {
    await session.close();
  }
}

/** As whoever the sessions belong to, or as nobody. */
async function attackStranger(
  context: CommandContext,
  input: CommandInput,
  options: {
    form: TokenForm;
    target: Target | undefined;
    people: Partial<Record<Part, Asker>> | undefined;
    paceMs: number;
  },
): Promise<Outcome> {
  const { form, target, paceMs } = options;
  if (textOption(input, 'stream') === undefined) {
    throw new TrollfixError('TF-CLI-003', 'which room shall be asked for?', {
      hint: 'pass `--stream <room>`, one that the user of the session may enter',
    });
  }
  const part: Part = textOption(input, 'expect') === 'publish' ? 'speaker' : 'viewer';
  const people = options.people ?? { [part]: { id: null, jwt: null } };
  const own = target !== undefined && isOwn(target, form.url) ? target : undefined;
  const jwks = textOption(input, 'jwks');
  const publicKeys = jwks === undefined ? null : await fetchPublicKeys(jwks);
  if (jwks !== undefined && publicKeys === null) {
    throw new TrollfixError('TF-CFG-003', `there is no key set at ${jwks}`, { hint: 'check --jwks' });
  }
  const scene: Scene = {
    stream: requiredOption(input, 'stream'),
    otherStream: textOption(input, 'otherStream') ?? null,
    endedStream: textOption(input, 'endedStream') ?? null,
    // keys of a target are shown to its own endpoint alone
    apiKey: own?.anonKey.reveal() ?? null,
    serviceRoleKey: own?.serviceRoleKey?.reveal() ?? null,
    jwtSecret: own?.jwtSecret?.reveal() ?? null,
    publicKeys,
    people,
    strict: false,
    maxTtlS: (numberOption(input, 'maxTtl') ?? ownMaxTtlS * 1000) / 1000,
    nowS: Math.floor(context.clock.now() / 1000),
  };
  const rows = await attackTokenEndpoint({
    ...{ form, scene, paceMs, signal: context.signal, onRow: reporter(context) },
    livekit: own?.livekit,
    nowMs: () => context.clock.now(),
  });
  return { asked: options.people === undefined ? 'nobody' : 'session', rows };
}

/** Whether an endpoint is what the target says is its own, so that the target's keys may be shown to it. */
function isOwn({ tokenEndpoint, supabaseUrl }: Target, url: string): boolean {
  return url === tokenEndpoint || new URL(url).origin === new URL(supabaseUrl).origin;
}

/** A step for each group of cases as it begins, and a note for each breach. */
function reporter({ progress }: CommandContext): (row: AttackRow) => void {
  const begun = new Set<string>();
  return (row) => {
    if (!begun.has(row.group)) progress({ kind: 'step', text: `cases: ${row.group}` });
    begun.add(row.group);
    if (row.verdict === 'breached') progress({ kind: 'note', text: `breached: ${row.name}` });
  };
}

function resultOf(context: CommandContext, form: TokenForm, { asked, rows }: Outcome): CommandResult {
  const count = (verdict: AttackRow['verdict']) => rows.filter((row) => row.verdict === verdict).length;
  const counts = { held: count('held'), breached: count('breached'), inconclusive: count('inconclusive') };
  const verdict = counts.breached > 0 ? 'breached' : counts.held > 0 ? 'held' : 'inconclusive';
  const data = { endpoint: form.url, asked, verdict, ...counts, cases: rows };
  return {
    data,
    text: () => attackText(context, form.url, rows, counts),
    annotations: rows
      .filter((row) => row.verdict === 'breached')
      .map(({ name, why }) => `${name}: ${why.join('; ')}`),
    ...failureOf(counts, rows),
  };
}

function failureOf(
  { held, breached }: Readonly<Record<AttackRow['verdict'], number>>,
  rows: readonly AttackRow[],
): { readonly failure?: TrollfixError } {
  if (breached > 0) {
    const names = rows.filter(({ verdict }) => verdict === 'breached').map(({ name }) => name);
    const more = names.length > 3 ? `; and ${names.length - 3} more` : '';
    const message = `${breached} of ${held + breached} cases were breached`;
    return {
      failure: new TrollfixError('TF-TOK-004', message, { why: `${names.slice(0, 3).join('; ')}${more}` }),
    };
  }
  if (held > 0) return {};
  const [first] = rows;
  return {
    failure: new TrollfixError('TF-TOK-005', 'no case could be judged', {
      why: `${first?.name}: ${first?.why.join('; ')}${first?.answer ? ` (${first.answer})` : ''}`,
    }),
  };
}

function attackText(
  { terminal }: CommandContext,
  url: string,
  rows: readonly AttackRow[],
  { held, breached, inconclusive }: Readonly<Record<AttackRow['verdict'], number>>,
): string {
  const { style } = terminal;
  const groups = [...Map.groupBy(rows, ({ group }) => group)].map(([group, cases]) => {
    const of = (verdict: AttackRow['verdict']) => cases.filter((row) => row.verdict === verdict).length;
    return [group, ...(['held', 'breached', 'inconclusive'] as const).map((verdict) => String(of(verdict)))];
  });
  const table = renderTable(['CASES', 'HELD', 'BREACHED', 'INCONCLUSIVE'], groups, [
    ...(['left', 'right', 'right', 'right'] as const),
  ]);
  const breachedRows = rows.filter(({ verdict }) => verdict === 'breached');
  const untold = breachedRows.length - breachesShown;
  const breaches = [
    ...breachedRows.slice(0, breachesShown).flatMap((row) => breachLines(row)),
    ...(untold > 0 ? [`  and ${untold} more: \`--json\` has them all`] : []),
  ];
  const open = [
    ...Map.groupBy(
      rows.filter(({ verdict }) => verdict === 'inconclusive'),
      reasonOf,
    ),
  ].map(([why, cases]) => `  ${cases.length} × ${why}`);
  return `${[
    table,
    ...(breaches.length === 0 ? [] : ['', style.red('BREACHED'), ...breaches]),
    ...(open.length === 0 ? [] : ['', style.yellow('inconclusive'), ...open]),
    '',
    `${held} held, ${breached} breached, ${inconclusive} inconclusive at ${url}`,
  ].join('\n')}\n`;
}

function breachLines({ group, name, why, answer, claims }: AttackRow): string[] {
  const grants = Object.entries(claims?.grants ?? {}).map(
    ([grant, value]) => `${grant}=${JSON.stringify(value)}`,
  );
  return [
    `  ${group}: ${name}`,
    `    ${why.join('; ')}`,
    ...(claims === null
      ? [`    answer: ${answer}`]
      : [
          `    granted to ${claims.identity ?? 'nobody'} in ${claims.room ?? 'no room'}: ${grants.join(' ')}`,
        ]),
  ];
}

function reasonOf({ why, answer }: AttackRow): string {
  return `${why.join('; ')}${answer === null ? '' : ` (${answer.slice(0, 80)})`}`;
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? url;
}
