import { mapBounded } from '../../src/kernel/bounded-map.ts';
import { atMost, type Figure, median } from '../figure.ts';
import type { SeatGround } from './ground.ts';

const pairs = 400;
const manyJoins = 2_000;

/** As many at once as LiveKit takes without queueing them. */
const atOnce = 8;

/** One join at LiveKit itself and one through the gate in turn. */
export async function latencyFigures(ground: SeatGround): Promise<Figure[]> {
  const { stream, users } = await ground.cast(2, false);
  const [near = '', far = ''] = users;
  const directMs: number[] = [];
  const gateMs: number[] = [];
  // the first of each warm up and are not counted
  for (let i = -20; i < pairs; i++) {
    const direct = await ground.enter(ground.livekit.url, await ground.token(stream, near, false));
    if (direct.kind !== 'joined') throw new Error(`LiveKit let nobody in: ${JSON.stringify(direct)}`);
    await direct.participant.close();
    const through = await ground.admit(await ground.token(stream, far, false));
    await through.close();
    if (i < 0) continue;
    directMs.push(direct.participant.joinMs);
    gateMs.push(through.joinMs);
  }
  return [
    atMost(1.5, {
      figure: `a join through the gate, p50 of ${pairs}: added`,
      value: median(gateMs) - median(directMs),
      unit: 'ms',
      against: `a join at LiveKit itself in turn with it, p50 ${median(directMs).toFixed(2)} ms`,
    }),
  ];
}

/** Real joins in numbers: everybody gets their first two messages, in their order, or it is none. */
export async function manyJoinsFigures(ground: SeatGround): Promise<Figure[]> {
  const people = 100;
  const { stream, users } = await ground.cast(people);
  const startedAtMs = performance.now();
  const complete = await mapBounded([...Array(manyJoins).keys()], atOnce, async (i) => {
    const participant = await ground.admit(await ground.token(stream, users[i % people] ?? '', i % 2 === 0));
    for (let wait = 0; participant.refreshToken() === null && wait < 400; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const isComplete = participant.refreshToken() !== null;
    await participant.close();
    return isComplete;
  });
  const perS = manyJoins / ((performance.now() - startedAtMs) / 1000);
  return [
    atMost(0, {
      figure: `${manyJoins} joins of a real LiveKit through the gate (${perS.toFixed(0)}/s): incomplete`,
      value: complete.filter((isComplete) => !isComplete).length,
      unit: 'joins',
      against: 'join and refreshToken received',
    }),
  ];
}
