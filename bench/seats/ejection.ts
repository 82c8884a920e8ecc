import { withDeadline } from '../../src/kernel/deadline.ts';
import type { SignalParticipant } from '../../src/target/livekit/signal-participant.ts';
import { atMost, type Figure, quantile } from '../figure.ts';
import type { SeatGround } from './ground.ts';

const sequentialRounds = 300;
const burstSize = 200;
/** Of one burst, a pause of the machine decides the p99. */
const bursts = 3;

/** LiveKit drops a signal-only client by itself after 60 s: one that is still there by then was never ejected. */
const ejectedWithinMs = 30_000;

/** From the revocation to the client's `leave`, one after the other and 200 at once, beside bare removals. */
export async function ejectionFigures(ground: SeatGround): Promise<Figure[]> {
  const { bareMs, commitMs } = await sequential(ground);
  const leaveMs: number[] = [];
  let inside = 0;
  for (let i = 0; i < bursts; i++) {
    const burst = await revokeAtOnce(ground);
    leaveMs.push(...burst.leaveMs);
    inside += burst.inside;
  }
  const [bareP99, p99, burstP99] = [bareMs, commitMs, leaveMs].map((each) => quantile(each, 0.99));
  return [
    atMost(5, {
      figure: `commit → leave received, ${sequentialRounds} sequential, p99 ${ms(p99)} (p50 ${ms(quantile(commitMs, 0.5))})`,
      value: (p99 ?? Number.NaN) / (bareP99 ?? Number.NaN),
      unit: 'times',
      against: `a bare removeParticipant call in turn with it, p99 ${ms(bareP99)} (p50 ${ms(quantile(bareMs, 0.5))})`,
    }),
    atMost(0, {
      figure: `${burstSize} seats revoked in one statement, ${bursts} times: still inside`,
      value: inside,
      unit: 'people',
      against: "the room's list",
    }),
    atMost(10, {
      figure: `${burstSize} seats revoked in one statement → leave received, p99 ${ms(burstP99)}`,
      value: (burstP99 ?? Number.NaN) / (p99 ?? Number.NaN),
      unit: 'times',
      against: `the sequential p99, ${ms(p99)}`,
    }),
  ];
}

/** One bare removal and one revocation in turn, so that both meet the same machine. */
async function sequential(ground: SeatGround): Promise<{ bareMs: number[]; commitMs: number[] }> {
  // the first of each warm up and are not counted
  const rounds = sequentialRounds + 10;
  const { stream, users } = await ground.cast(rounds * 2);
  const bareMs: number[] = [];
  const commitMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [bare = '', revoked = ''] = users.slice(round * 2);
    const removed = await ground.admit(await ground.token(stream, bare));
    const bareAtMs = performance.now();
    if ((await ground.admin.remove(stream, bare)) !== 'removed')
      throw new Error('the bare removal removed nobody');
    const removedMs = performance.now() - bareAtMs;
    await departure(removed);

    const participant = await ground.admit(await ground.token(stream, revoked));
    const [atMs, committedAtMs] = await Promise.all([
      departure(participant),
      revoke(ground, stream, [revoked]),
    ]);
    if (round < rounds - sequentialRounds) continue;
    bareMs.push(removedMs);
    commitMs.push(atMs - committedAtMs);
  }
  return { bareMs, commitMs };
}

async function revokeAtOnce(ground: SeatGround): Promise<{ leaveMs: number[]; inside: number }> {
  const { stream, users } = await ground.cast(burstSize);
  const participants: SignalParticipant[] = [];
  for (const user of users) participants.push(await ground.admit(await ground.token(stream, user)));
  const [committedAtMs, ...leaves] = await Promise.all([
    revoke(ground, stream, users),
    ...participants.map(departure),
  ]);
  const leaveMs = leaves.map((atMs) => atMs - committedAtMs);
  const listed = new Set((await ground.admin.occupants(stream)).map(({ identity }) => identity));
  return { leaveMs, inside: users.filter((user) => listed.has(user)).length };
}

/** Revokes seats in one statement. @returns when its COMMIT was sent: the answer to that is in the time measured */
async function revoke(ground: SeatGround, stream: string, users: readonly string[]): Promise<number> {
  const client = await ground.pool.connect();
  try {
    await client.query('begin');
    await client.query("select revoke_seat($1, u, 'bench') from unnest($2::uuid[]) u", [stream, users]);
    const committedAtMs = performance.now();
    await client.query('commit');
    return committedAtMs;
  } finally {
    client.release();
  }
}

/** When the client was told to leave. @throws when it was not, or not by a removal */
async function departure(participant: SignalParticipant): Promise<number> {
  const left = await withDeadline(participant.left, ejectedWithinMs, 'the leave of somebody who was removed');
  if (left.kind !== 'leave' || left.reason !== 'PARTICIPANT_REMOVED') {
    throw new Error(`not removed, but: ${JSON.stringify(left)}`);
  }
  return left.atMs;
}

function ms(value: number | undefined): string {
  return `${(value ?? Number.NaN).toFixed(1)} ms`;
}
