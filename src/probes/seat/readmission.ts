import { decodeJwt } from 'jose';
import { mapBounded } from '../../kernel/bounded-map.ts';
import { sleep } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { type LiveKitAdmin, liveKitAdmin } from '../../target/livekit/admin.ts';
import type { Departure } from '../../target/livekit/signal-participant.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import type { ProbeContext } from '../probe.ts';
import { openSeatCohort, type SeatCohort } from '../seat-cohort.ts';
import { controlOf } from './control.ts';
import {
  departureOf,
  type LostSeat,
  loseSeats,
  mayWatch,
  type SessionEnd,
  type SituationName,
  situationNames,
} from './lost-seats.ts';
import type { SeatPlace } from './place.ts';
import { RoomWitness } from './room-witness.ts';
import { askForToken, HolderTurnedAway, type Stage, seatVictims } from './victims.ts';
import { tryWayBack, type WayBackAttempt } from './way-back.ts';
import {
  type Control,
  type EntryName,
  findingsOf,
  type Way,
  type WayBackFinding,
  type WayBackSample,
  waysBack,
  waysPastLeeway,
} from './ways-back.ts';

export interface ReadmissionPlan {
  /** Users that try each way back. One shows it: a door opens for all or for none. */
  readonly victims: number;
  /** A stream that is there already; by default synthetic ones. */
  readonly streamId?: string;
  /** Also try once more when the first token and LiveKit's leeway are over: some two minutes. */
  readonly pastLeeway: boolean;
  /** How long whoever enforces may take before a session counts as left in, and a door as open; 6 s by default. */
  readonly patienceMs?: number;
}

/**
 * Between what enforcing takes (1.1 s in a burst, and a guard looks every 2 s) and when sessions end by themselves,
 * which would pass for it: 15 s for WHIP without media (measured), 60 s for a signal-only participant.
 */
const defaultPatienceMs = 6_000;

/** How the sessions ended that users were in when they lost their seats. */
export interface SessionFinding {
  readonly entry: EntryName;
  readonly situation: SituationName;
  readonly verdict: SessionEnd['verdict'];
  readonly victims: number;
  /** Sessions that were still there, as if the seat had not been lost. */
  readonly stayed: number;
  /** The slowest; null when none ended as it should. */
  readonly endedMs: number | null;
  readonly said: string;
}

export interface ReadmissionFindings {
  /** What clients are told to connect to: `gate` where the target has one. */
  readonly entry: EntryName;
  readonly ways: readonly WayBackFinding[];
  readonly sessions: readonly SessionFinding[];
  /** Doors that let somebody with a seat into LiveKit itself and not through the gate, and sessions of theirs that were ended. */
  readonly holdersRefused: readonly string[];
  /** Refusals of somebody with a seat who was let in a moment later: news of their seat was still on its way. */
  readonly refusedAtFirst: number;
  /** Tokens that the endpoint gave to banned users: each is a violation. */
  readonly tokensForBanned: number;
  /** Banned users that tried the endpoint and were answered. */
  readonly endpointAnswers: number;
  readonly pastLeeway: boolean;
  readonly samples: readonly WayBackSample[];
}

/** How many users the matrix takes. */
export function readmissionUsers({ livekit }: SeatPlace, plan: ReadmissionPlan): number {
  return scenesOf(livekit.gateUrl, plan).reduce((sum, { ways }) => sum + ways.length * plan.victims + 1, 0);
}

/**
 * Has users lose their seats in every way there is and try every known way back in, through the gate and at LiveKit
 * itself, with LiveKit's own list of the room as the witness. Each way is tried by a user of its own, all at once, who
 * stays in where it opens. Somebody who keeps their seat tries the same doors: one that does not open for them says
 * nothing when it stays shut.
 */
export async function measureReadmission(
  context: ProbeContext,
  place: SeatPlace,
  plan: ReadmissionPlan,
): Promise<ReadmissionFindings> {
  const scenes = scenesOf(place.livekit.gateUrl, plan);
  const cohort = await openSeatCohort(context, {
    users: readmissionUsers(place, plan),
    streams: plan.streamId === undefined ? scenes.length : 0,
    name: 'readmission',
  });
  const admin = liveKitAdmin(place.livekit);
  const rooms = plan.streamId === undefined ? cohort.streams : [plan.streamId];
  try {
    const patienceMs = plan.patienceMs ?? defaultPatienceMs;
    const matrix = new RejoinMatrix(context, { ...place, cohort, patienceMs }, admin);
    const queue = [...cohort.users];
    const staged = scenes.map((scene, index) => {
      const users = queue.splice(0, scene.ways.length * plan.victims);
      return { ...scene, users, holder: queue.splice(0, 1)[0], streamId: rooms[index % rooms.length] };
    });
    const played = await mapBounded(staged, staged.length, (scene) => matrix.play(scene));
    const entry = place.livekit.gateUrl === undefined ? 'livekit' : 'gate';
    return matrix.findings(entry, played, plan.pastLeeway);
  } finally {
    if (plan.streamId === undefined) await leaveNoRoom(context, admin, rooms);
    await cohort.close();
  }
}

interface Scene {
  readonly entry: EntryName;
  readonly url: string | undefined;
  readonly situation: SituationName;
  readonly ways: readonly Way[];
}

function scenesOf(gateUrl: string | undefined, { pastLeeway }: ReadmissionPlan): Scene[] {
  const entries: ReadonlyArray<Pick<Scene, 'entry' | 'url'>> = [
    ...(gateUrl === undefined ? [] : [{ entry: 'gate', url: gateUrl } as const]),
    { entry: 'livekit', url: undefined },
  ];
  return entries.flatMap(({ entry, url }) =>
    situationNames.map((situation) => ({
      ...{ entry, url, situation },
      ways: situation === 'banned' && pastLeeway ? [...waysBack, ...waysPastLeeway] : waysBack,
    })),
  );
}

interface StagedScene extends Scene {
  readonly users: readonly SyntheticUser[];
  readonly holder: SyntheticUser | undefined;
  readonly streamId: string | undefined;
}

interface PlayedScene {
  readonly session: SessionFinding;
  readonly samples: readonly WayBackSample[];
}

interface MatrixPlace extends SeatPlace {
  readonly cohort: SeatCohort;
  readonly patienceMs: number;
}

class RejoinMatrix {
  readonly #context: ProbeContext;
  readonly #place: MatrixPlace;
  readonly #admin: LiveKitAdmin;
  readonly #witnesses = new Map<string, RoomWitness>();
  readonly #controls = new Map<EntryName, Control>();
  readonly #putOut: string[] = [];
  #refusedAtFirst = 0;
  #tokensForBanned = 0;
  #endpointAnswers = 0;

  constructor(context: ProbeContext, place: MatrixPlace, admin: LiveKitAdmin) {
    this.#context = context;
    this.#place = place;
    this.#admin = admin;
  }

  /** One situation at one entry. What its users could not even begin with is UNKNOWN. */
  async play(scene: StagedScene): Promise<PlayedScene> {
    const { streamId, holder, users, ways, situation, entry } = scene;
    if (streamId === undefined || holder === undefined)
      throw new RangeError('a scene lacks its stream or users');
    const { livekit, patienceMs } = this.#place;
    const stage: Stage = { ...this.#place, streamId, livekit: { ...livekit, url: scene.url ?? livekit.url } };
    const witness = this.#witnessOf(streamId);
    const wayOf = new Map(users.map(({ id }, index) => [id, wayAt(ways, index)]));
    const aliased = new Set(users.map(({ id }) => id).filter((id) => wayOf.get(id)?.credential === 'alias'));
    try {
      if (situation === 'banned')
        this.#controls.set(entry, await controlOf(this.#context, stage, holder, witness));
      const [bystander] = await seatVictims(this.#context, stage, [holder]);
      if (bystander === undefined) throw new Error('nobody was seated');
      const loss = { situation, users, aliased, witness, patienceMs, bystander: bystander.participant };
      const lost = await loseSeats(this.#context, stage, loss);
      this.#watchBystander(scene, await departureOf(bystander.participant));
      await bystander.participant.close();
      this.#refusedAtFirst += lost.reduce((sum, { refusals }) => sum + refusals, bystander.refusals);
      this.#note(scene, lost);
      const samples = await mapBounded(lost, lost.length, async (loser) => {
        const way = wayOf.get(loser.user.id) ?? wayAt(ways, 0);
        return this.#sample(scene, loser.user, way, await this.#try(stage, situation, loser, way, witness));
      });
      await Promise.all(lost.map((loser) => loser.close()));
      return { session: sessionFinding(scene, lost), samples };
    } catch (error) {
      if (!(error instanceof HolderTurnedAway)) throw error;
      const { message: said } = error;
      const samples = users.map((user, index) =>
        this.#sample(scene, user, wayAt(ways, index), unknown(said)),
      );
      return { session: { ...sessionFinding(scene, []), said }, samples };
    }
  }

  findings(entry: EntryName, played: readonly PlayedScene[], pastLeeway: boolean): ReadmissionFindings {
    const [gate, livekit] = [this.#controls.get('gate'), this.#controls.get('livekit')];
    const refused = [...(livekit ?? [])].filter(
      ([key, { opens }]) => opens === true && gate?.get(key)?.opens === false,
    );
    const samples = played.flatMap((scene) => scene.samples);
    return {
      entry,
      ways: findingsOf(samples, this.#controls),
      sessions: played.map(({ session }) => session),
      holdersRefused: [...refused.map(([key]) => `${key}: ${gate?.get(key)?.said ?? ''}`), ...this.#putOut],
      refusedAtFirst: this.#refusedAtFirst,
      tokensForBanned: this.#tokensForBanned,
      endpointAnswers: this.#endpointAnswers,
      pastLeeway,
      samples,
    };
  }

  async #try(
    stage: Stage,
    situation: SituationName,
    loser: LostSeat,
    way: Way,
    witness: RoomWitness,
  ): Promise<WayBackAttempt> {
    const { clock, signal } = this.#context;
    if (way.pastLeeway) {
      const tooLong = await this.#waitPastLeeway(loser.keys.original);
      if (tooLong !== null) return unknown(tooLong);
    }
    signal.throwIfAborted();
    const { patienceMs } = this.#place;
    const scene = {
      url: stage.livekit.url,
      witness,
      clock,
      signal,
      patienceMs,
      mayWatch: mayWatch[situation],
    };
    const { user, sid } = loser;
    if (way.credential !== 'new') {
      const token = loser.keys[way.credential];
      if (token === undefined) return unknown('LiveKit signed no such token');
      return tryWayBack(way.door, { userId: user.id, token, sid }, scene);
    }
    const answer = await askForToken(this.#context, stage, user);
    const answered = answer.status > 0 && answer.status < 500;
    if (situation === 'banned' && answered) this.#endpointAnswers += 1;
    if (answer.token === null) {
      const said = `endpoint ${answer.status}: ${answer.problem ?? ''}`;
      return { ...unknown(said), verdict: answered ? 'CLOSED' : 'UNKNOWN' };
    }
    if (situation === 'banned') this.#tokensForBanned += 1;
    return tryWayBack(way.door, { userId: user.id, token: answer.token, sid }, scene);
  }

  /** @returns why it was not waited, or null */
  async #waitPastLeeway(original: string | undefined): Promise<string | null> {
    const { clock, signal } = this.#context;
    const expS = original === undefined ? undefined : decodeJwt(original).exp;
    if (expS === undefined) return 'the token that was joined with never ends';
    const waitMs = expS * 1000 + pastLeewayMs - clock.now();
    if (waitMs > leewayWaitLimitMs) return `the token that was joined with lives for ${waitMs} ms more`;
    await sleep(Math.max(0, waitMs), signal);
    return null;
  }

  /** Whoever keeps the seat must not go with those who lose theirs; the server's own timeout is nobody's doing. */
  #watchBystander({ situation, entry }: Scene, departure: Departure | null): void {
    if (departure === null || (departure.kind === 'leave' && departure.reason === 'JOIN_FAILURE')) return;
    const how = departure.kind === 'leave' ? departure.reason : `closed with ${departure.code}`;
    this.#putOut.push(`a session beside those of ${situation} users, at ${entry}: ${how}`);
  }

  #sample(scene: Scene, user: SyntheticUser, way: Way, attempt: WayBackAttempt): WayBackSample {
    const { entry, situation } = scene;
    const { credential, door, title } = way;
    const sample: WayBackSample = { entry, situation, credential, door, title, user: user.id, ...attempt };
    this.#context.series('seat.readmission.ndjson', { ...sample });
    return sample;
  }

  #note({ entry, situation, ways }: Scene, lost: readonly LostSeat[]): void {
    const at = entry === 'gate' ? 'through the gate' : 'at LiveKit itself';
    const waits = ways.some((way) => way.pastLeeway) ? ', two of them when their token is over' : '';
    const text = `seat: ${lost.length} ${situation} users try to come back ${at}${waits}`;
    this.#context.progress({ kind: 'note', text });
  }

  #witnessOf(streamId: string): RoomWitness {
    const witness = this.#witnesses.get(streamId) ?? new RoomWitness(this.#admin, streamId);
    this.#witnesses.set(streamId, witness);
    return witness;
  }
}

/** livekit.md §1: refused at +64 s, accepted at +59 s. */
const pastLeewayMs = 65_000;

/** Our own tokens live for 60 s; whoever gives out longer ones is told by the token probe, not by waiting for hours. */
const leewayWaitLimitMs = 150_000;

/** Users take the ways in turn. */
function wayAt(ways: readonly Way[], index: number): Way {
  const way = ways[index % ways.length];
  if (way === undefined) throw new RangeError('there are no ways back to try');
  return way;
}

function unknown(said: string): WayBackAttempt {
  return { verdict: 'UNKNOWN', said, witnessed: [], dwellMs: null, refreshTokenHarvested: false };
}

function sessionFinding({ entry, situation }: Scene, lost: readonly LostSeat[]): SessionFinding {
  const of = (verdict: SessionEnd['verdict']) => lost.filter(({ session }) => session.verdict === verdict);
  const [stayed, unclear] = [of('OPEN'), of('UNKNOWN')];
  const ended = of('CLOSED').flatMap(({ session }) => (session.endedMs === null ? [] : [session.endedMs]));
  const worst = stayed[0] ?? unclear[0] ?? lost[0];
  return {
    ...{ entry, situation, victims: lost.length, stayed: stayed.length },
    verdict: worst?.session.verdict ?? 'UNKNOWN',
    endedMs: ended.length === 0 ? null : Math.max(...ended),
    said: worst?.session.said ?? 'nobody could lose a seat',
  };
}

/** The rooms would outlive their streams; that one cannot be closed any more changes no finding. */
async function leaveNoRoom(
  context: ProbeContext,
  admin: LiveKitAdmin,
  rooms: readonly string[],
): Promise<void> {
  for (const room of rooms) {
    await admin.deleteRoom(room).catch((error: unknown) => {
      if (!(error instanceof TrollfixError)) throw error;
      context.log.warn('seat probe: a room was left behind', { error: error.message });
    });
  }
}
