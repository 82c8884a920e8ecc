import { systemClock } from '../../../../src/kernel/clock.ts';
import { enterRoom, type SignalDoor } from '../../../../src/target/livekit/signal-participant.ts';
import { enterByWhip } from '../../../../src/target/livekit/whip.ts';
import type { GateStage } from './gate-stage.ts';

/** Every way to a room over the signal socket; the resume doors with a session that was somebody's. */
function signalDoors(sid: string): SignalDoor[] {
  return [
    { path: '/rtc' },
    { path: '/rtc/v1' },
    { path: '/rtc', publishAlias: 'y' },
    { path: '/rtc', resumeSid: sid },
    { path: '/rtc/v1', resumeSid: sid },
  ];
}

/**
 * Tries every door with every token and leaves again.
 * @returns what happened where it was not a refusal with 403, `token door: outcome`
 */
async function openDoors(
  url: string,
  tokens: Readonly<Record<string, string>>,
  sid: string,
): Promise<string[]> {
  const open: string[] = [];
  for (const [name, token] of Object.entries(tokens)) {
    for (const door of signalDoors(sid)) {
      const outcome = await enterRoom({ url, token, door, clock: systemClock });
      if (outcome.kind === 'refused' && outcome.status === 403) continue;
      open.push(
        `${name} ${door.path}${door.resumeSid ? ' resume' : ''}${door.publishAlias ? ' alias' : ''}: ${outcome.kind}`,
      );
      if (outcome.kind === 'joined' || outcome.kind === 'resumed') await outcome.participant.close();
    }
    const whip = await enterByWhip(url, token);
    if (whip.kind === 'refused' && whip.status === 403) continue;
    open.push(`${name} /whip/v1: ${whip.kind}`);
    if (whip.kind === 'admitted') await whip.leave();
  }
  return open;
}

const publishing = { canPublish: true, canPublishData: true };

/** A speaker with two sessions, one of them an alias, and every token that could bring them back. */
async function speakerInside(stage: GateStage, url: string) {
  const { stream, users } = await stage.cast(1);
  const user = users[0] ?? '';
  await stage.sql('select grant_seat($1, $2)', [stream, user]);
  const token = await stage.token({ room: stream, sub: user }, publishing);
  await untilTrue(() => stage.table.standing(stream, user).seat !== null);
  const enter = async (door: SignalDoor) => {
    const outcome = await enterRoom({ url, token, door, clock: systemClock });
    if (outcome.kind !== 'joined') throw new Error(`the speaker is not let in: ${JSON.stringify(outcome)}`);
    return outcome.participant;
  };
  const own = await enter({ path: '/rtc' });
  const alias = await enter({ path: '/rtc', publishAlias: 'x' });
  await untilTrue(() => own.refreshToken() !== null && alias.refreshToken() !== null);
  const tokens = {
    original: token,
    refreshed: own.refreshToken() ?? '',
    'refreshed alias': alias.refreshToken() ?? '',
    viewer: await stage.token({ room: stream, sub: user }),
    'viewer alias': await stage.token({ room: stream, sub: `${user}#x` }),
  };
  return { stream, user, own, alias, tokens };
}

/**
 * A speaker is banned, with nobody but the gate to carry that out.
 * @returns which of their sessions went on, and which doors opened again: nothing, if the gate keeps its promise
 */
export async function afterBan(stage: GateStage, url: string): Promise<string[]> {
  const { stream, user, own, alias, tokens } = await speakerInside(stage, url);
  await stage.sql("select revoke_seat($1, $2, 'test')", [stream, user]);
  await untilTrue(() => stage.table.standing(stream, user).ban !== null);
  // several times as long as the gate waits
  const sessions = Object.entries({ own, alias }).map(async ([name, session]) => {
    const left = await Promise.race([session.left, afterMs(4_000)]);
    return left === undefined ? [`the session ${name} goes on`] : [];
  });
  const broken = (await Promise.all(sessions)).flat();
  broken.push(...(await openDoors(url, tokens, own.sid)));
  await Promise.all([own.close(), alias.close()]);
  return broken;
}

/** A speaker is downgraded. @returns which doors let them publish again, of those that a viewer may not use */
export async function afterDowngrade(stage: GateStage, url: string): Promise<string[]> {
  const { stream, user, own, alias, tokens } = await speakerInside(stage, url);
  await Promise.all([own.close(), alias.close()]);
  await stage.sql("select grant_seat($1, $2, 'guest', false)", [stream, user]);
  await untilTrue(() => stage.table.standing(stream, user).seat?.canPublish === false);
  const { original, refreshed, 'refreshed alias': refreshedAlias } = tokens;
  return openDoors(url, { original, refreshed, 'refreshed alias': refreshedAlias }, own.sid);
}

async function untilTrue(is: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!is()) {
    if (Date.now() > deadline) throw new Error(`never true: ${is}`);
    await afterMs(5);
  }
}

function afterMs(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined));
}
