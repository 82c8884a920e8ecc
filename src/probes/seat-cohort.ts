import { TrollfixError } from '../kernel/errors.ts';
import { withConnection } from '../target/postgres/pool.ts';
import { SupabaseRest } from '../target/supabase/rest.ts';
import type { SyntheticUser } from '../target/supabase/synthetic-users.ts';
import { createFixture } from './fixture.ts';
import type { ProbeContext } from './probe.ts';
import { downgradeSeatsSql, endSeatsSql, grantSeatsSql, revokeSeatsSql } from './seat-cohort.sql.ts';

/** Synthetic users and streams of their own for one probe, and the levers of a moderator over them. */
export interface SeatCohort {
  readonly users: readonly SyntheticUser[];
  readonly streams: readonly string[];
  grant(streamId: string, userIds: readonly string[], seat?: SeatTerms): Promise<void>;
  /** Bans all of them in one commit where there is a database connection, else one by one over HTTP. */
  revoke(streamId: string, userIds: readonly string[]): Promise<RevocationTimes>;
  /** Takes the right to publish from all of them. */
  downgrade(streamId: string, userIds: readonly string[]): Promise<void>;
  /** Has their seats run out in a moment. @returns how long that takes, counted from when this resolves at the latest */
  expire(streamId: string, userIds: readonly string[]): Promise<{ readonly inMs: number }>;
  close(): Promise<void>;
}

interface SeatTerms {
  /** Defaults to true. */
  readonly canPublish?: boolean;
  readonly expiresAt?: Date;
}

/** `clock.monotonicMs()` just before the COMMIT (or the request) went out, and when it was confirmed. */
interface RevocationTimes {
  readonly commitSentAtMs: number;
  readonly durableAtMs: number;
}

/** Whether a probe can make itself a cohort, and if not, what is missing. */
export function missingForCohort({ target, database }: ProbeContext): string | null {
  if (database === undefined && target.serviceRoleKey === undefined) {
    return 'the target has neither databaseUrl nor serviceRoleKey, so no synthetic users can be made: set DATABASE_URL';
  }
  if (target.jwtSecret === undefined && target.serviceRoleKey === undefined) {
    return 'the target has neither jwtSecret nor serviceRoleKey, so users cannot be signed in: set SUPABASE_JWT_SECRET';
  }
  return null;
}

/**
 * Makes the users and streams. They carry the run's id, so the clean-up of the run removes them.
 * @param name tells the cohorts of one run apart: whoever is banned here is nobody's user elsewhere
 */
export async function openSeatCohort(
  context: ProbeContext,
  size: { readonly users: number; readonly streams: number; readonly name: string },
): Promise<SeatCohort> {
  const { users, streams } = size;
  const own = { ...context, random: context.random.fork(size.name) };
  const fixture = await createFixture(own, { users, streams, balance: 0 });
  const key = context.target.serviceRoleKey?.reveal();
  const service =
    key === undefined
      ? null
      : new SupabaseRest({ supabaseUrl: context.target.supabaseUrl, apiKey: key, connections: 4 });
  return {
    users: fixture.users,
    streams: fixture.streamIds,
    grant: (streamId, userIds, seat = {}) => grant(context, service, streamId, userIds, seat),
    revoke: (streamId, userIds) => revoke(context, service, streamId, userIds),
    downgrade: (streamId, userIds) => downgrade(context, service, streamId, userIds),
    expire: (streamId, userIds) => expire(context, service, streamId, userIds),
    close: async () => service?.close(),
  };
}

async function grant(
  { database }: ProbeContext,
  service: SupabaseRest | null,
  streamId: string,
  userIds: readonly string[],
  { canPublish = true, expiresAt }: SeatTerms,
): Promise<void> {
  if (database !== undefined) {
    await database.query(grantSeatsSql, [streamId, userIds, canPublish, expiresAt ?? null]);
    return;
  }
  for (const userId of userIds) {
    await withService(service).rpc('grant_seat', {
      p_stream_id: streamId,
      p_user_id: userId,
      p_can_publish: canPublish,
      p_expires_at: expiresAt?.toISOString() ?? null,
      p_actor: 'probe',
      p_reason: 'probe',
    });
  }
}

async function revoke(
  { database, clock }: ProbeContext,
  service: SupabaseRest | null,
  streamId: string,
  userIds: readonly string[],
): Promise<RevocationTimes> {
  if (database === undefined) {
    const commitSentAtMs = clock.monotonicMs();
    for (const userId of userIds) {
      const args = { p_stream_id: streamId, p_user_id: userId, p_reason: 'probe', p_actor: 'probe' };
      await withService(service).rpc('revoke_seat', args);
    }
    return { commitSentAtMs, durableAtMs: clock.monotonicMs() };
  }
  // in a transaction of its own, so that the clock starts at the commit and not at the work before it
  return withConnection(database, async (client) => {
    await client.query('begin');
    await client.query(revokeSeatsSql, [streamId, userIds]);
    const commitSentAtMs = clock.monotonicMs();
    await client.query('commit');
    return { commitSentAtMs, durableAtMs: clock.monotonicMs() };
  });
}

async function downgrade(
  { database }: ProbeContext,
  service: SupabaseRest | null,
  streamId: string,
  userIds: readonly string[],
): Promise<void> {
  if (database !== undefined) {
    await withConnection(database, (client) => client.query(downgradeSeatsSql, [streamId, userIds]));
    return;
  }
  for (const userId of userIds) {
    const args = { p_stream_id: streamId, p_user_id: userId, p_actor: 'probe', p_reason: 'probe' };
    await withService(service).rpc('downgrade_seat', args);
  }
}

/** A seat cannot be granted into the past: this is for the statement itself, and for a clock that is a little off. */
const expiryMs = 1_500;

/** One call over HTTP takes a fraction of this; the last seat must not run out while the first are still being changed. */
const restCallMs = 150;

async function expire(
  context: ProbeContext,
  service: SupabaseRest | null,
  streamId: string,
  userIds: readonly string[],
): Promise<{ readonly inMs: number }> {
  const { database, clock } = context;
  if (database === undefined) {
    const expiresAt = new Date(clock.now() + expiryMs + userIds.length * restCallMs);
    await grant(context, service, streamId, userIds, { expiresAt });
    return { inMs: Math.max(0, expiresAt.getTime() - clock.now()) };
  }
  await withConnection(database, (client) => client.query(endSeatsSql, [streamId, userIds, expiryMs]));
  return { inMs: expiryMs };
}

function withService(service: SupabaseRest | null): SupabaseRest {
  if (service === null) throw new TrollfixError('TF-CFG-005', 'the target has no serviceRoleKey');
  return service;
}
