import { once } from 'node:events';
import { WebSocket } from 'ws';
import { mapBounded } from '../../src/kernel/bounded-map.ts';
import { type GateFront, startFront } from '../../test/integration/ops/gate/gate-front.ts';
import { atMost, type Figure } from '../figure.ts';

const sessions = 2_000;
const atOnce = 32;
const framesEach = 25;

/** An echo that has not come by then does not come. */
const echoMs = 30_000;

/**
 * Sessions through a gate to an upstream that sends every frame back: each frame has its number and a length of its
 * own, from a few bytes to more than a socket buffer holds.
 */
export async function frameFigures(): Promise<Figure[]> {
  await using front = await startFront();
  const startedAtMs = performance.now();
  const results = await mapBounded([...Array(sessions).keys()], atOnce, (session) => echo(front, session));
  const perS = (sessions * framesEach) / ((performance.now() - startedAtMs) / 1000);
  const missing = results.reduce((sum, { missing }) => sum + missing, 0);
  const wrong = results.reduce((sum, { wrong }) => sum + wrong, 0);
  return [
    atMost(0, {
      figure: `frames dropped or reordered over ${sessions} sessions (${perS.toFixed(0)} frames/s both ways)`,
      value: missing + wrong,
      unit: 'frames',
      against: `${sessions * framesEach} sent`,
    }),
  ];
}

async function echo(front: GateFront, session: number): Promise<{ missing: number; wrong: number }> {
  const socket = new WebSocket(`${front.gate.url}/rtc`, {
    headers: { Authorization: `Bearer ${front.token}` },
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  const frames = Array.from({ length: framesEach }, (_, i) => frameOf(session, i));
  let came = 0;
  let wrong = 0;
  const all = Promise.withResolvers<void>();
  const late = setTimeout(all.resolve, echoMs);
  socket.on('message', (data: Buffer) => {
    if (!data.equals(frames[came] ?? Buffer.alloc(0))) wrong += 1;
    came += 1;
    if (came === framesEach) all.resolve();
  });
  // asked for before anything is sent: a close that comes early would be waited for without end
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  void closed.then(all.resolve);
  // of a connection that breaks, what did not come is counted
  socket.on('error', () => {});
  for (const frame of frames) socket.send(frame);
  await all.promise;
  clearTimeout(late);
  if (socket.readyState === WebSocket.OPEN) socket.close();
  await closed;
  return { missing: framesEach - Math.min(came, framesEach), wrong };
}

/** 8 bytes of numbers, then up to 4 kB; every hundredth session has one of 300 kB. */
function frameOf(session: number, index: number): Buffer {
  const large = session % 100 === 0 && index === 5;
  const frame = Buffer.alloc(large ? 300_000 : 8 + ((session * 31 + index * 7919) % 4_096), index);
  frame.writeUInt32BE(session);
  frame.writeUInt32BE(index, 4);
  return frame;
}
