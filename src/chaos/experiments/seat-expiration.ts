import type pg from 'pg';
import type { Clock } from '../../kernel/clock.ts';
import { pollUntil } from '../../kernel/deadline.ts';
import { type EnforcedBy, whileEnforced } from '../../ops/guard/enforcement.ts';
import { askForToken, type Stage, seatVictim, type Victim } from '../../probes/seat/victims.ts';
import { openSeatCohort } from '../../probes/seat-cohort.ts';
import { isIdentityOf, type LiveKitAdmin, liveKitAdmin } from '../../target/livekit/admin.ts';
import type { Departure, SignalParticipant } from '../../target/livekit/signal-participant.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { Experiment, ExperimentContext, Observation } from '../experiment.ts';
import { invariant } from '../run-experiment.ts';
import { databaseTimeSql } from './seat-expiration.sql.ts';

/** Long enough to ask for a token and join on a busy machine, short enough to wait for. */
const seatMs = 4000;
/**
 * How long after the expiry the holder may still be in: the sweep runs each second and an ejection takes milliseconds.
 * Far below the 60 s after which LiveKit itself drops a signal-only participant, which would be no ejection.
 */
const graceMs = 10_000;

export const seatExpiration: Experiment = {
  id: 'seat-expiration',
  scenario: 'Seat Expiration',
  expected:
    'When a seat runs out its holder is ejected from LiveKit by the server, not by a client that agrees to go; a holder whose seat goes on stays.',
  remediation:
    'Keep `trollfix guard` running beside LiveKit: expiry is decided by the database clock and carried out by `expire_due_seats`.',
  does: 'two seats are granted, one for four seconds; both holders join LiveKit; the guard of the target runs, or an enforcer in its place',
  touches: 'a synthetic stream and its LiveKit room',
  needs: ['database', 'userTokens', 'livekit'],
  run: runSeatExpiration,
};

function runSeatExpiration(context: ExperimentContext): Promise<Observation> {
  return whileEnforced(context, (by) => expireSeat(context, by));
}

async function expireSeat(context: ExperimentContext, enforcedBy: EnforcedBy): Promise<Observation> {
  const { database, clock } = context;
  const { livekit, tokenEndpoint } = context.target;
  if (database === undefined || livekit === undefined || tokenEndpoint === undefined) {
    throw new Error('seat-expiration runs with a database, LiveKit and a token endpoint');
  }
  const admin = liveKitAdmin(livekit);
  const cohort = await openSeatCohort(context, { users: 2, streams: 1, name: 'seat-expiration' });
  const joined: SignalParticipant[] = [];
  try {
    const [expiring, lasting] = cohort.users;
    const streamId = cohort.streams[0];
    if (!expiring || !lasting || !streamId) throw new Error('the cohort is incomplete');
    const stage: Stage = { cohort, streamId, livekit, tokenEndpoint };
    const stays = await seat(context, stage, lasting, undefined);
    joined.push(stays.participant);
    const offsetMs = await databaseOffsetMs(database, clock);
    const expiresAt = new Date(clock.monotonicMs() + offsetMs + seatMs);
    const goes = await seat(context, stage, expiring, expiresAt);
    joined.push(goes.participant);
    return await watch(context, admin, { stage, goes, stays, expiresAt, offsetMs, enforcedBy });
  } finally {
    await Promise.all(joined.map((participant) => participant.close()));
    await cohort.close();
  }
}

/**
 * What to add to our monotonic clock for the database's time: it decides when a seat runs out, and told by a clock a
 * second behind it each ejection would come too early. Exact to half a round trip.
 */
async function databaseOffsetMs(database: pg.Pool, clock: Clock): Promise<number> {
  const askedAtMs = clock.monotonicMs();
  const { rows } = await database.query<{ nowMs: number }>(databaseTimeSql);
  const [row] = rows;
  if (row === undefined) throw new Error('the database did not tell the time');
  return row.nowMs - (askedAtMs + clock.monotonicMs()) / 2;
}

async function seat(
  context: ExperimentContext,
  stage: Stage,
  user: SyntheticUser,
  expiresAt: Date | undefined,
): Promise<Victim> {
  await stage.cohort.grant(stage.streamId, [user.id], expiresAt === undefined ? {} : { expiresAt });
  context.history({
    process: user.username,
    op: 'seat',
    type: 'ok',
    value: expiresAt?.toISOString() ?? 'for good',
  });
  const holder = await seatVictim(context, stage, user);
  context.history({ process: user.username, op: 'join', type: 'ok', value: holder.participant.canPublish });
  return holder;
}

interface Scene {
  readonly stage: Stage;
  readonly goes: Victim;
  readonly stays: Victim;
  readonly expiresAt: Date;
  readonly offsetMs: number;
  readonly enforcedBy: EnforcedBy;
}

async function watch(context: ExperimentContext, admin: LiveKitAdmin, scene: Scene): Promise<Observation> {
  const { clock, signal } = context;
  const { streamId } = scene.stage;
  const before = await admin.occupants(streamId);
  const expiryMs = scene.expiresAt.getTime() - scene.offsetMs;
  const waitMs = expiryMs - clock.monotonicMs() + graceMs;
  const departure = await departureWithin(scene.goes.participant, waitMs, signal);
  const ejected =
    departure?.kind === 'leave' &&
    departure.reason === 'PARTICIPANT_REMOVED' &&
    departure.action === 'DISCONNECT';
  const detectionMs = departure === null ? null : departure.atMs - expiryMs;
  context.history({
    process: scene.goes.user.username,
    op: 'leave',
    type: ejected ? 'ok' : 'fail',
    value: departure,
  });
  const after = await admin.occupants(streamId);
  const stillThere = after.filter(({ identity }) => isIdentityOf(identity, scene.goes.user.id));
  const lastingThere = after.filter(({ identity }) => isIdentityOf(identity, scene.stays.user.id));
  const republish = await publishAfter(context, scene);
  const how = departure === null ? 'was still in the room' : describeDeparture(departure);
  return {
    observed: `${detectionMs === null ? `${graceMs} ms` : `${detectionMs.toFixed(0)} ms`} after the expiry the holder ${how}; the other holder ${lastingThere.length === 1 ? 'stayed' : 'was gone'}; a new token ${republish ? 'still lets it publish' : 'lets it watch only'}`,
    load: { offered: 2, achieved: before.length, samples: before.length },
    fault: {
      kind: 'seat_expired',
      target: 'stream_seats',
      params: { seatMs },
      injectedAt: scene.expiresAt.toISOString(),
      effectiveAt: scene.expiresAt.toISOString(),
      clearedAt: null,
    },
    steadyState: { before: before.length, during: null, after: after.length },
    detectionMs,
    recoveryMs: null,
    invariants: [
      invariant('the holder is ejected by the server', 1, ejected ? [] : [how]),
      invariant('not before the seat ran out', 1, (detectionMs ?? 0) >= 0 ? [] : [`${detectionMs} ms early`]),
      invariant(
        'the witness sees the room without the holder',
        before.length,
        stillThere.map(({ identity, state }) => `${identity} is ${state}`),
      ),
      invariant('nobody else is ejected', 1, lastingThere.length === 1 ? [] : ['the other holder is gone']),
      invariant('a token asked for afterwards cannot publish', 1, republish ? ['it can'] : []),
    ],
    details: {
      occupantsBefore: before.length,
      occupantsAfter: after.length,
      enforcedBy: scene.enforcedBy,
    },
  };
}

function departureWithin(
  participant: SignalParticipant,
  ms: number,
  signal: AbortSignal,
): Promise<Departure | null> {
  let departed: Departure | undefined;
  void participant.left.then((departure) => {
    departed = departure;
  });
  return pollUntil(() => departed, { ms, everyMs: 10, what: 'the ejection', signal }).catch((error) => {
    signal.throwIfAborted();
    if (departed === undefined) return null;
    throw error;
  });
}

function describeDeparture(departure: Departure): string {
  return departure.kind === 'leave'
    ? `was told to leave (${departure.reason})`
    : `lost the socket (${departure.code}) without a leave`;
}

/** Whether a token asked for after the expiry would let the former holder publish. */
async function publishAfter(context: ExperimentContext, scene: Scene): Promise<boolean> {
  const { token } = await askForToken(context, scene.stage, scene.goes.user);
  if (token === null) return false;
  const payload = token.split('.')[1] ?? '';
  const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  // a LiveKit token holds its grants under `video`; anything else cannot publish
  const video = (claims as { video?: { canPublish?: unknown } }).video;
  return video?.canPublish !== false;
}
