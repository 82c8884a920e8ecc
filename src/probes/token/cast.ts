import { sleep } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { fetchPublicKeys } from '../../target/livekit/public-keys.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import type { SeatCohort } from '../seat-cohort.ts';
import { endStreamSql } from './scene.sql.ts';
import { type Asker, parts, type Scene } from './scene.ts';

/** One who watches, one per kind of seat, and one who is banned; three streams, of which one is over. */
export const castSize = { users: parts.length, streams: 3 } as const;

/** The policy gives 60 s; anything longer only helps whoever finds a token. */
export const ownMaxTtlS = 60;

/** The shortest seat the database takes that surely lies in its future; the probe waits until it is over. */
const expiringSeatMs = 1_000;

/**
 * Casts the parts on a target of our own schema: seats given, taken, run out, and a ban.
 * @param trusted whether the endpoint is the target's own: only then it is shown what the target's keys have signed
 */
export async function castScene(context: ProbeContext, cohort: SeatCohort, trusted: boolean): Promise<Scene> {
  const { target, clock, signal } = context;
  const [viewer, speaker, listener, downgraded, expired, banned] = cohort.users;
  const [stream, otherStream, endedStream] = cohort.streams;
  if (!viewer || !speaker || !listener || !downgraded || !expired || !banned) {
    throw new Error('the synthetic run has fewer users than asked for');
  }
  if (!stream || !otherStream || !endedStream)
    throw new Error('the synthetic run has fewer streams than asked for');
  await cohort.grant(stream, [speaker.id, downgraded.id, banned.id]);
  await cohort.grant(stream, [listener.id, downgraded.id], { canPublish: false });
  const expiresAt = new Date(clock.now() + expiringSeatMs);
  await cohort.grant(stream, [expired.id], { expiresAt });
  await cohort.revoke(stream, [banned.id]);
  const ended = await endStream(context, endedStream);
  // its own tick past the second, for a database whose clock is a little behind
  await sleep(Math.max(0, expiresAt.getTime() - clock.now()) + 100, signal);
  const cast = { viewer, speaker, listener, downgraded, expired, banned };
  const people = Object.entries(cast).map(([part, user]) => [part, askerOfUser(user)]);
  return {
    ...{ stream, otherStream, endedStream: ended ? endedStream : null },
    apiKey: target.anonKey.reveal(),
    serviceRoleKey: trusted ? (target.serviceRoleKey?.reveal() ?? null) : null,
    jwtSecret: trusted ? (target.jwtSecret?.reveal() ?? null) : null,
    publicKeys: (await fetchPublicKeys(`${target.supabaseUrl}/auth/v1/.well-known/jwks.json`)) ?? [],
    people: Object.fromEntries(people),
    strict: true,
    maxTtlS: ownMaxTtlS,
    nowS: Math.floor(clock.now() / 1000),
  };
}

function askerOfUser({ id, token }: SyntheticUser): Asker {
  return { id, jwt: token };
}

/** Only whoever owns the database ends a stream; without it the case stays open. */
async function endStream({ database }: ProbeContext, streamId: string): Promise<boolean> {
  if (database === undefined) return false;
  const { rowCount } = await database.query(endStreamSql, [streamId]);
  if (rowCount !== 1) throw new TrollfixError('TF-DB-003', `stream ${streamId} is not there to be ended`);
  return true;
}
