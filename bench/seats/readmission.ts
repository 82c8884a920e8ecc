import { systemClock } from '../../src/kernel/clock.ts';
import { type DoorName, doorNames, knock } from '../../src/probes/seat/doors.ts';
import { atLeast, atMost, type Figure } from '../figure.ts';
import type { SeatGround } from './ground.ts';

const victims = 50;

/** One who has everything that could open a door: the token they came with, the one LiveKit gave them, a session. */
interface Victim {
  readonly userId: string;
  readonly sid: string;
  readonly tokens: readonly [original: string, refreshed: string];
}

/** Banned users at every door with both their tokens: through the gate, and at LiveKit itself to see that they open. */
export async function readmissionFigures(ground: SeatGround): Promise<Figure[]> {
  const { stream, users } = await ground.cast(victims);
  const banned: Victim[] = [];
  for (const user of users) banned.push(await banish(ground, stream, user));
  // while they try, the room is looked at, too
  let listed = 0;
  let trying = true;
  const witness = (async () => {
    while (trying) {
      listed = Math.max(listed, (await ground.admin.occupants(stream)).length);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  const attempts = { all: 0, open: 0 };
  for (const victim of banned) {
    const { all, open } = await tryDoors(victim, ground.gateUrl);
    attempts.all += all;
    attempts.open += open.length;
  }
  trying = false;
  await witness;
  // the same doors without the gate, by one of them: what does not open here proves nothing there
  const [control] = banned;
  const { open } = control === undefined ? { open: [] } : await tryDoors(control, ground.livekit.url);
  const doors = doorNames.length;
  return [
    atMost(0, {
      figure: `readmissions through the gate: 2 tokens × ${doors} doors × ${victims} victims`,
      value: attempts.open,
      unit: 'joins',
      against: `${attempts.all} attempts`,
    }),
    atMost(0, {
      figure: 'victims in the room meanwhile',
      value: listed,
      unit: 'people',
      against: "the room's list",
    }),
    // the session that is resumed is over, so that door stays shut
    atLeast(2 * (doors - 1), {
      figure: 'the same doors at LiveKit itself: open',
      value: open.length,
      unit: 'doors',
      against: `${2 * doors} attempts of one victim`,
    }),
  ];
}

async function banish(ground: SeatGround, stream: string, userId: string): Promise<Victim> {
  const token = await ground.token(stream, userId);
  const participant = await ground.admit(token);
  let refreshed = participant.refreshToken();
  for (let wait = 0; refreshed === null && wait < 200; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    refreshed = participant.refreshToken();
  }
  if (refreshed === null) throw new Error('LiveKit gave no refresh token');
  await ground.pool.query("select revoke_seat($1, $2, 'bench')", [stream, userId]);
  await participant.left;
  return { userId, sid: participant.sid, tokens: [token, refreshed] };
}

async function tryDoors(victim: Victim, url: string): Promise<{ all: number; open: DoorName[] }> {
  const open: DoorName[] = [];
  let all = 0;
  for (const token of victim.tokens) {
    for (const door of doorNames) {
      const { userId, sid } = victim;
      const answer = await knock(door, { userId, sid, token }, url, systemClock);
      all += 1;
      if (answer.kind === 'refused') continue;
      // whoever did not answer refused nobody
      if (answer.kind === 'silent') throw new Error(`${door} says nothing: ${answer.said}`);
      open.push(door);
      if (answer.kind === 'in') await answer.leave().catch(() => {}); // the guard may have been faster
    }
  }
  return { all, open };
}
