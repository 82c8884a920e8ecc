import { mapBounded } from '../../src/kernel/bounded-map.ts';
import { sleep } from '../../src/kernel/clock.ts';
import { withDeadline } from '../../src/kernel/deadline.ts';
import { userOfIdentity } from '../../src/target/livekit/admin.ts';
import type { SignalParticipant } from '../../src/target/livekit/signal-participant.ts';
import { atMost, type Figure, quantile } from '../figure.ts';
import type { SeatGround } from './ground.ts';

const sequentialRounds = 300;
/** 200 seats: a troll's whole set of accounts. A stage holds some twenty. */
const burstStreams = 10;
const seatsEach = 20;
const burstSize = burstStreams * seatsEach;
/** Of one burst, a pause of the machine decides the p99. */
const bursts = 3;

/** LiveKit drops a signal-only client by itself after 60 s: one that is still there by then was never ejected. */
const ejectedWithinMs = 30_000;

/** One interval of the guard's reconciliation. */
const delistedWithinMs = 2_000;

/** From the revocation to the client's `leave`, one after the other and 200 at once, beside bare removals. */
export async function ejectionFigures(ground: SeatGround): Promise<Figure[]> {
  const { bareMs, commitMs } = await sequential(ground);
  const leaveMs: number[] = [];
  const bareLeaveMs: number[] = [];
  let inside = 0;
  for (let i = 0; i < bursts; i++) {
    bareLeaveMs.push(...(await removeAtOnce(ground)));
    const burst = await revokeAtOnce(ground);
    leaveMs.push(...burst.leaveMs);
    inside += burst.inside;
  }
  const bareBurstP99 = quantile(bareLeaveMs, 0.99);
  const [bareP99, p99, burstP99] = [bareMs, commitMs, leaveMs].map((each) => quantile(each, 0.99));
  return [
    atMost(5, {
      figure: `commit → leave received, ${sequentialRounds} sequential, p99 ${ms(p99)} (p50 ${ms(quantile(commitMs, 0.5))})`,
      value: (p99 ?? Number.NaN) / (bareP99 ?? Number.NaN),
      unit: 'times',
      against: `a bare removeParticipant call in turn with it, p99 ${ms(bareP99)} (p50 ${ms(quantile(bareMs, 0.5))})`,
    }),
    atMost(0, {
      figure: `${burstSize} seats on ${burstStreams} streams revoked in one statement, ${bursts} times: still inside`,
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
    // what of it is LiveKit's own
    atMost(2, {
      figure: `the same: what database and guard make of it`,
      value: (burstP99 ?? Number.NaN) / bareBurstP99,
      unit: 'times',
      against: `bare removeParticipant calls for ${burstSize}, 32 at a time, in turn with it, p99 ${ms(bareBurstP99)}`,
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
      revoke(ground, [{ stream, user: revoked }]),
    ]);
    if (round < rounds - sequentialRounds) continue;
    bareMs.push(removedMs);
    commitMs.push(atMs - committedAtMs);
  }
  return { bareMs, commitMs };
}

/** @returns from the first bare call to each `leave` */
async function removeAtOnce(ground: SeatGround): Promise<number[]> {
  const { seats, participants } = await fullStages(ground);
  const sentAtMs = performance.now();
  const removals = mapBounded(seats, 32, ({ stream, user }) => ground.admin.remove(stream, user));
  const leaves = await Promise.all(participants.map(departure));
  await removals;
  return leaves.map((atMs) => atMs - sentAtMs);
}

/** @returns from the COMMIT to each `leave`, and how many are listed all the same */
async function revokeAtOnce(ground: SeatGround): Promise<{ leaveMs: number[]; inside: number }> {
  const { seats, participants } = await fullStages(ground);
  const [committedAtMs, ...leaves] = await Promise.all([
    revoke(ground, seats),
    ...participants.map(departure),
  ]);
  return {
    leaveMs: leaves.map((atMs) => atMs - committedAtMs),
    inside: await stillInside(ground, seats),
  };
}

/** How many of them LiveKit lists when it has had its time: it says leave first and takes people off its list then. */
async function stillInside(ground: SeatGround, seats: readonly Seat[]): Promise<number> {
  const streams = [...new Set(seats.map(({ stream }) => stream))];
  const gone = new Set(seats.map(({ user }) => user));
  const endsAtMs = performance.now() + delistedWithinMs;
  while (true) {
    const listings = await Promise.all(streams.map((stream) => ground.admin.occupants(stream)));
    const inside = listings.flat().filter(({ identity }) => gone.has(userOfIdentity(identity))).length;
    if (inside === 0 || performance.now() > endsAtMs) return inside;
    await sleep(20);
  }
}

async function fullStages(ground: SeatGround): Promise<{ seats: Seat[]; participants: SignalParticipant[] }> {
  const seats: Seat[] = [];
  for (let i = 0; i < burstStreams; i++) {
    const { stream, users } = await ground.cast(seatsEach);
    seats.push(...users.map((user) => ({ stream, user })));
  }
  const participants: SignalParticipant[] = [];
  for (const { stream, user } of seats) {
    participants.push(await ground.admit(await ground.token(stream, user)));
  }
  return { seats, participants };
}

interface Seat {
  readonly stream: string;
  readonly user: string;
}

/** Revokes seats in one statement. @returns when its COMMIT was sent: the answer to that is in the time measured */
async function revoke(ground: SeatGround, seats: readonly Seat[]): Promise<number> {
  const client = await ground.pool.connect();
  try {
    await client.query('begin');
    const columns = [seats.map(({ stream }) => stream), seats.map(({ user }) => user)];
    await client.query(
      "select revoke_seat(s, u, 'bench') from unnest($1::uuid[], $2::uuid[]) t (s, u)",
      columns,
    );
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
