import { randomInt } from 'node:crypto';
import type { Target } from '../../config/target.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { findStream, type StreamRef } from '../../ops/seat-lookup.ts';
import { type SeatPlace, seatPlaceOf } from '../../probes/seat/place.ts';
import {
  measureReadmission,
  type ReadmissionFindings,
  type ReadmissionPlan,
  readmissionUsers,
} from '../../probes/seat/readmission.ts';
import { type ReadmissionSummary, summarise } from '../../probes/seat/verify.ts';
import { RunSession } from '../../run/session.ts';
import type { CommandContext, CommandInput, CommandResult } from '../command.ts';
import { numberOption, textOption } from '../input-values.ts';
import { createRunId } from '../run-folder.ts';
import { assertSafe } from '../safety.ts';
import { verifyText } from './seat-verify-text.ts';
import { streamName } from './seat-words.ts';

/** Joins and knocks are made all at once; this is what they come to in a second. */
const knocksPerS = 50;

/**
 * The rejoin matrix against the target as it is: nothing is started that would enforce bans, so what holds is what the
 * target runs. Synthetic users and their rows are removed at the end.
 */
export async function runSeatVerify(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const target = await context.target();
  const asked = textOption(input, 'stream');
  const pastLeeway = input.options.quick !== true;
  const victims = numberOption(input, 'victims') ?? 1;
  const runId = `${createRunId(context.clock.now(), randomInt(0x1_0000))}-verify`;
  await using session = await RunSession.open({
    ...{ target, runId, seed: randomInt(2 ** 31), clock: context.clock, signal: context.signal },
    ...{ log: context.log, progress: context.progress },
    series: (_file, row) => context.event('attempt', row),
  });
  const probe = session.contextFor('seat');
  const place = await seatPlaceOf(probe);
  if (typeof place === 'string') throw new TrollfixError('TF-CFG-005', `seats cannot be verified: ${place}`);
  const stream = asked === undefined ? null : await liveStream(context, session, asked);
  const plan: ReadmissionPlan = {
    ...{ victims, pastLeeway },
    ...(stream === null ? {} : { streamId: stream.id }),
  };
  await assertWanted(context, target, place, plan, stream);
  context.progress({ kind: 'step', text: 'users with seats join, lose them, and try to come back' });
  const found = await measureReadmission(probe, place, plan);
  const summary = summarise(found);
  context.progress({ kind: 'step', text: 'removing the synthetic rows' });
  return resultOf(context, { place, stream, found, summary });
}

async function liveStream(context: CommandContext, session: RunSession, asked: string): Promise<StreamRef> {
  const { database } = session;
  if (database === undefined) return { id: asked, title: null, status: 'live' };
  const { clock, signal } = context;
  const stream = await findStream({ database, clock, signal, livekit: null, actor: 'verify' }, asked);
  if (stream.status === 'live') return stream;
  throw new TrollfixError(
    'TF-SEAT-004',
    `${streamName(stream)} is ${stream.status}: nobody gets a token for it`,
    {
      hint: 'without --stream a synthetic one is used',
    },
  );
}

async function assertWanted(
  context: CommandContext,
  target: Target,
  place: SeatPlace,
  plan: ReadmissionPlan,
  stream: StreamRef | null,
): Promise<void> {
  const users = readmissionUsers(place, plan);
  await assertSafe(context, target, { what: 'load', ratePerS: knocksPerS, users });
  if (stream === null) return;
  await context.prompts.confirm(
    `${users} synthetic users get a seat on ${streamName(stream)} and try to get back into its room; its viewers may ` +
      'see them come and go. Go on?',
  );
}

function resultOf(
  context: CommandContext,
  verified: {
    readonly place: SeatPlace;
    readonly stream: StreamRef | null;
    readonly found: ReadmissionFindings;
    readonly summary: ReadmissionSummary;
  },
): CommandResult {
  const { place, stream, found, summary } = verified;
  const failure = failureOf(summary, found);
  return {
    data: {
      ...{ stream, verdict: summary.verdict, entry: found.entry },
      urls: { gate: place.livekit.gateUrl ?? null, livekit: place.livekit.url },
      entries: { gate: summary.entries.gate ?? null, livekit: summary.entries.livekit ?? null },
      ...{ bannedInside: summary.bannedInside, stillPublishing: summary.stillPublishing },
      ...{ holdersRefused: found.holdersRefused, holdersTurnedAwayAtFirst: found.refusedAtFirst },
      ...{ tokensForBanned: found.tokensForBanned, pastLeeway: found.pastLeeway, unclear: summary.unclear },
      ...{ sessions: found.sessions, ways: found.ways, samples: found.samples },
    },
    text: () => verifyText(context.terminal, verified),
    ...(failure === undefined ? {} : { failure }),
  };
}

function failureOf(summary: ReadmissionSummary, found: ReadmissionFindings): TrollfixError | undefined {
  switch (summary.verdict) {
    case 'held':
      return undefined;
    case 'stays_in':
      return new TrollfixError('TF-SEAT-010', `${summary.bannedInside} banned users stayed in the room`);
    case 'open': {
      const { open = 0, tried = 0 } = summary.entries[found.entry] ?? {};
      const at = found.entry === 'gate' ? 'at the gate' : 'at LiveKit, which has no gate in front of it';
      const what = [
        ...(open > 0 ? [`${open} of ${tried} ways back are open ${at}`] : []),
        ...(summary.stillPublishing > 0 ? [`${summary.stillPublishing} lost seats went on publishing`] : []),
        ...(found.holdersRefused.length > 0
          ? [`holders are refused: ${found.holdersRefused.join(', ')}`]
          : []),
      ];
      return new TrollfixError('TF-SEAT-009', what.join('; '));
    }
    case 'unknown': {
      const why = summary.unclear.slice(0, 3).join('\n') || 'nothing could be tried';
      return new TrollfixError('TF-SEAT-011', 'some ways back did not answer', { why });
    }
  }
}
