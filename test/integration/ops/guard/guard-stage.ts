import { systemClock } from '../../../../src/kernel/clock.ts';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import type { Logger } from '../../../../src/kernel/log.ts';
import { GuardPlace } from '../../../../src/local/guard-process.ts';
import { createGuard, type Guard, type GuardOptions } from '../../../../src/ops/guard/guard.ts';
import { mintSeatToken } from '../../../../src/ops/tokens.ts';
import { openSeatCohort, type SeatCohort } from '../../../../src/probes/seat-cohort.ts';
import { isIdentityOf, type LiveKitAdmin, liveKitAdmin } from '../../../../src/target/livekit/admin.ts';
import {
  enterRoom,
  type SignalDoor,
  type SignalParticipant,
} from '../../../../src/target/livekit/signal-participant.ts';
import { type SeatStage, startSeatStage } from '../../seats/seat-stage.ts';

/** Everything a guard said, whole: what it must never say is looked for in it. */
export class LogRecorder implements Logger {
  readonly lines: string[] = [];
  debug = (message: string, fields?: Record<string, unknown>) => this.#add('debug', message, fields);
  info = (message: string, fields?: Record<string, unknown>) => this.#add('info', message, fields);
  warn = (message: string, fields?: Record<string, unknown>) => this.#add('warn', message, fields);
  error = (message: string, fields?: Record<string, unknown>) => this.#add('error', message, fields);

  get text(): string {
    return this.lines.join('\n');
  }

  #add(level: string, message: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
}

/** Database and LiveKit with its webhooks on their way to a guard, and people to be guarded from. */
export class GuardStage implements AsyncDisposable {
  readonly seats: SeatStage;
  readonly place: GuardPlace;
  /** The witness: a client of LiveKit's that is no guard. */
  readonly witness: LiveKitAdmin;
  readonly log = new LogRecorder();
  readonly #guards = new Set<Guard>();
  readonly #inside = new Set<SignalParticipant>();
  #cohort: SeatCohort | undefined;

  private constructor(seats: SeatStage, place: GuardPlace) {
    this.seats = seats;
    this.place = place;
    this.witness = liveKitAdmin(seats.livekit.livekit);
  }

  static async start(): Promise<GuardStage> {
    const place = await GuardPlace.choose();
    const seats = await startSeatStage(place.webhookUrl);
    await place.release();
    return new GuardStage(seats, place);
  }

  /** A guard where LiveKit's webhooks go, with a gate, unless told otherwise. Stopped by {@link clear}. */
  async guard(changes: Partial<GuardOptions> = {}): Promise<Guard> {
    const desk = { host: '127.0.0.1', port: this.place.ports.desk };
    const guard = createGuard({
      target: this.seats.target,
      source: 'listen',
      gate: { host: '127.0.0.1', port: 0 },
      ...{ metrics: desk, webhook: desk },
      tripwires: 0,
      failOpen: false,
      // as often as a test waits for it
      reconcileEveryMs: 300,
      clock: systemClock,
      log: this.log,
      ...changes,
    });
    await guard.start();
    this.#guards.add(guard);
    return guard;
  }

  /** Users with seats on a stream of their own. */
  async people(count: number): Promise<{ cohort: SeatCohort; streamId: string; ids: string[] }> {
    const name = 'guard';
    const cohort = await openSeatCohort(this.seats.probeContext(), { users: count, streams: 1, name });
    this.#cohort = cohort;
    const [streamId = ''] = cohort.streams;
    const ids = cohort.users.map(({ id }) => id);
    await cohort.grant(streamId, ids);
    return { cohort, streamId, ids };
  }

  token(streamId: string, userId: string): Promise<string> {
    const { database, livekit } = this.seats;
    const wanted = { streamId, userId, nowMs: Date.now() };
    return mintSeatToken(database, livekit.livekit, wanted).then(({ token }) => token);
  }

  /** Joins LiveKit itself, past any gate, unless an address is given. */
  async join(token: string, how: { url?: string; door?: SignalDoor } = {}): Promise<SignalParticipant> {
    const { url = this.seats.livekit.livekit.url, door = { path: '/rtc' } } = how;
    const outcome = await enterRoom({ url, token, door, clock: systemClock });
    if (outcome.kind !== 'joined') throw new Error(`could not join: ${JSON.stringify(outcome)}`);
    this.#inside.add(outcome.participant);
    return outcome.participant;
  }

  /** Who of a user's identities is in the room, by the witness. */
  async sessionsOf(streamId: string, userId: string) {
    const occupants = await this.witness.occupants(streamId);
    return occupants.filter(({ identity }) => isIdentityOf(identity, userId));
  }

  /** Waits until `guard` has carried `passes` more reconciliations through: one may be under way already. */
  async reconciled(guard: Guard, passes = 2): Promise<void> {
    const goal = guard.status().enforcer.passes + passes;
    const done = () => (guard.status().enforcer.passes >= goal ? true : undefined);
    await pollUntil(done, { ms: 30_000, everyMs: 10, what: `${passes} reconciliations` });
  }

  async openEjections(userId: string): Promise<number> {
    const { rows } = await this.seats.database.query<{ open: number }>(
      'select count(*)::int as open from public.seat_ejections where user_id = $1 and done_at is null',
      [userId],
    );
    return rows[0]?.open ?? -1;
  }

  /** Sends everybody home and stops every guard, in this order: a gate waits for who is inside. */
  async clear(): Promise<void> {
    await Promise.all([...this.#inside].map((participant) => participant.close()));
    await Promise.all([...this.#guards].map((guard) => guard.stop()));
    await this.#cohort?.close();
    this.#guards.clear();
    this.#inside.clear();
    this.log.lines.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear();
    await this.seats[Symbol.asyncDispose]();
  }
}
