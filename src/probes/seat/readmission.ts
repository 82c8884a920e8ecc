import { type LiveKitAdmin, liveKitAdmin } from '../../target/livekit/admin.ts';
import { enterRoom } from '../../target/livekit/signal-participant.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import { type DoorAttempt, type DoorName, doorNames, doorTitles, tryDoor } from './doors.ts';
import { askForToken, awaitEjection, harvestRefreshToken, type Stage, seatVictims } from './victims.ts';

/** Which token was shown at the door. Not called `token`: whatever stands under that name is taken for a secret. */
type Credential = 'original' | 'refreshed' | 'new';

/** One way back in, tried by every victim. */
interface DoorFinding {
  readonly credential: Credential;
  readonly door: string;
  /**
   * open: at least one victim got in. shut: every one was refused, and somebody with a seat does get in this way.
   * not_a_door: not even somebody with a seat gets in. unknown: nobody answered.
   */
  readonly verdict: 'open' | 'shut' | 'not_a_door' | 'unknown';
  readonly attempts: number;
  readonly open: number;
  /** What the door said to victims, with how often. */
  readonly said: Readonly<Record<string, number>>;
  /** What it said to somebody who still has a seat. */
  readonly control: string;
  readonly refreshTokensHarvested: number;
}

export interface ReadmissionFindings {
  readonly doors: readonly DoorFinding[];
  /** Victims that were ejected and then knocked. */
  readonly victims: number;
  /** Tokens that the endpoint gave to banned users: each is a violation. */
  readonly tokensForBanned: number;
  /** How long a victim who came back stayed until something removed them; null: still there when nobody waited longer. */
  readonly dwellMs: number | null;
  readonly dwellWaitedMs: number;
}

/** Something that removes returning users does so within seconds, or is no guard. */
const dwellDeadlineMs = 4_000;
const ejectionDeadlineMs = 5_000;

/** How many users the matrix takes: the victims, somebody who keeps the seat, and one who comes back and stays. */
export function readmissionUsers(victims: number): number {
  return victims + 2;
}

/** Somebody who was in the room, with everything they could still use to get back. */
interface Knocker {
  readonly user: SyntheticUser;
  readonly original: string;
  readonly refreshed: string | null;
  readonly sid: string;
}

/**
 * Ejects users and has them knock at every known door with every token they hold, with LiveKit's own list of the
 * room as the witness. The same doors are tried first by somebody who keeps their seat: a door that does not open
 * for them says nothing when it stays shut.
 */
export async function measureReadmission(
  context: ProbeContext,
  stage: Stage,
  users: readonly SyntheticUser[],
): Promise<ReadmissionFindings> {
  const admin = liveKitAdmin(stage.livekit);
  const [holder, stayer, ...others] = users;
  if (holder === undefined || stayer === undefined) throw new RangeError('readmission needs three users');
  const control = await tryAsHolder(context, stage, admin, holder);

  const knockers: Knocker[] = [];
  for (const user of others) {
    const knocker = await ejected(context, stage, user);
    if (knocker !== null) knockers.push(knocker);
  }
  const attempts: Attempt[] = [];
  for (const knocker of knockers) attempts.push(...(await tryAll(context, stage, admin, knocker)));
  const returned = await ejected(context, stage, stayer);
  const dwellMs = returned === null ? null : await dwell(context, stage, returned);
  return {
    doors: doorsOf(attempts, control),
    victims: knockers.length,
    tokensForBanned: attempts.filter(({ tokenGiven }) => tokenGiven).length,
    dwellMs,
    dwellWaitedMs: dwellDeadlineMs,
  };
}

interface Attempt {
  readonly credential: Credential;
  readonly door: string;
  readonly result: DoorAttempt;
  /** The endpoint handed out a token just now. */
  readonly tokenGiven: boolean;
}

const newTokenDoor = 'token endpoint, then /rtc';

/** What every door says to somebody who has a seat and is in the room, so that there is a session to be resumed. */
async function tryAsHolder(
  context: ProbeContext,
  stage: Stage,
  admin: LiveKitAdmin,
  user: SyntheticUser,
): Promise<Attempt[]> {
  const [victim] = await seatVictims(context, stage, [user]);
  if (victim === undefined) throw new Error('nobody was seated');
  const { participant, token: original } = victim;
  const refreshed = await harvestRefreshToken(context, participant);
  const attempts = await tryAll(context, stage, admin, { user, original, refreshed, sid: participant.sid });
  await participant.close();
  return attempts;
}

/** Revoked and out; null when the ejection did not come (which is the other measurement's finding). */
async function ejected(context: ProbeContext, stage: Stage, user: SyntheticUser): Promise<Knocker | null> {
  const [victim] = await seatVictims(context, stage, [user]);
  if (victim === undefined) throw new Error('nobody was seated');
  const { participant } = victim;
  const refreshed = await harvestRefreshToken(context, participant);
  const left = awaitEjection(participant, ejectionDeadlineMs);
  await stage.cohort.revoke(stage.streamId, [user.id]);
  const verdict = await left;
  await participant.close();
  return verdict.ejected ? { user, original: victim.token, refreshed, sid: participant.sid } : null;
}

async function tryAll(
  context: ProbeContext,
  stage: Stage,
  admin: LiveKitAdmin,
  knocker: Knocker,
): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  const room = { admin, name: stage.streamId, clock: context.clock };
  const knock = async (door: DoorName, token: string) => {
    context.signal.throwIfAborted();
    return tryDoor(door, { userId: knocker.user.id, token, sid: knocker.sid }, room);
  };
  const record = (attempt: Attempt) => {
    attempts.push(attempt);
    const { credential, door, result } = attempt;
    context.series('seat.readmission.ndjson', { user: knocker.user.id, credential, door, ...result });
  };
  // a session can only be resumed until another join takes its place, so that door comes first
  const inOrder = [...doorNames].sort((a, b) => Number(b === 'rtc-resume') - Number(a === 'rtc-resume'));
  for (const door of inOrder) {
    const tokens = { original: knocker.original, refreshed: knocker.refreshed } as const;
    for (const name of ['original', 'refreshed'] as const) {
      const token = tokens[name];
      if (token === null) continue;
      const result = await knock(door, token);
      record({ credential: name, door: doorTitles[door], result, tokenGiven: false });
    }
  }
  const answer = await askForToken(context, stage, knocker.user);
  if (answer.token !== null) {
    const result = await knock('rtc', answer.token);
    record({ credential: 'new', door: newTokenDoor, result, tokenGiven: true });
  } else {
    const refused = answer.status >= 400 && answer.status < 500;
    const said = `endpoint ${answer.status}: ${answer.problem ?? ''}`;
    const verdict = refused ? 'shut' : 'unknown';
    const result = { verdict, said, witnessed: [], refreshTokenHarvested: false } as const;
    record({ credential: 'new', door: newTokenDoor, result, tokenGiven: false });
  }
  return attempts;
}

/** Comes back with the old token and stays: how long until something takes them out again. */
async function dwell({ clock }: ProbeContext, stage: Stage, knocker: Knocker): Promise<number | null> {
  const outcome = await enterRoom({
    url: stage.livekit.url,
    token: knocker.original,
    door: { path: '/rtc' },
    clock,
  });
  if (outcome.kind !== 'joined') return null;
  const joinedAtMs = clock.monotonicMs();
  const verdict = await awaitEjection(outcome.participant, dwellDeadlineMs);
  await outcome.participant.close();
  return verdict.ejected ? verdict.atMs - joinedAtMs : null;
}

function doorsOf(attempts: readonly Attempt[], control: readonly Attempt[]): DoorFinding[] {
  const groups = Map.groupBy(attempts, ({ credential, door }) => `${credential} ${door}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { credential, door } = first;
    // by door, whatever the token: a session can be resumed once, so only the first token gets to show it
    const tries = control.filter((attempt) => attempt.door === door);
    const holder = tries.find(({ result }) => result.verdict === 'open') ?? tries[0];
    const open = group.filter(({ result }) => result.verdict === 'open').length;
    const unknown = group.some(({ result }) => result.verdict === 'unknown');
    const isDoor = holder?.result.verdict === 'open';
    return [
      {
        credential,
        door,
        verdict: open > 0 ? 'open' : unknown ? 'unknown' : isDoor ? 'shut' : 'not_a_door',
        attempts: group.length,
        open,
        said: countBy(group.map(({ result }) => result.said)),
        control: holder?.result.said ?? 'not tried',
        refreshTokensHarvested: group.filter(({ result }) => result.refreshTokenHarvested).length,
      },
    ];
  });
}

function countBy(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}
