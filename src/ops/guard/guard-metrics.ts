import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { EjectionReport } from './ejection-report.ts';
import type { GateCut, GateDecision } from './gate.ts';
import type { GuardStatus } from './guard-status.ts';
import type { WebhookResult } from './webhook-inbox.ts';

/** From a few milliseconds, as measured, to the half minute after which an ejection counts as stuck. */
const ejectionSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** A decision takes 0.1–0.5 ms. */
const decisionSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1];

/** What a guard tells Prometheus, in a registry of its own. Labels are names from short lists: no ids, no tokens. */
export class GuardMetrics {
  readonly registry = new Registry();
  readonly #ejections: Counter<'cause' | 'outcome'>;
  readonly #ejectionSeconds: Histogram;
  readonly #webhooks: Counter<'result'>;
  readonly #decisions: Counter<'door' | 'outcome'>;
  readonly #decisionSeconds: Histogram;
  readonly #passes: Counter<'result'>;
  readonly #cut: Counter;
  readonly #trips: Counter;

  /** @param status asked at every scrape */
  constructor(status: () => GuardStatus, version: string) {
    const registers = [this.registry];
    const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name: `trollfix_guard_${name}`, help, labelNames, registers });
    const seconds = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `trollfix_guard_${name}_seconds`, help, buckets, registers });
    this.#ejections = counter('ejections_total', 'Ejections by cause and by what became of them.', [
      'cause',
      'outcome',
    ]);
    this.#ejectionSeconds = seconds(
      'ejection',
      'From the row in the outbox (clock of the database) to the room listed without its user (clock of the guard).',
      ejectionSeconds,
    );
    this.#passes = counter('reconciliations_total', 'Comparisons of rooms with rows.', ['result']);
    this.#webhooks = counter('webhooks_total', "LiveKit's webhooks, by what became of them.", ['result']);
    this.#decisions = counter('gate_decisions_total', 'Admissions by door and outcome.', ['door', 'outcome']);
    this.#decisionSeconds = seconds(
      'gate_decision',
      'From the headers of a request to its admission or refusal.',
      decisionSeconds,
    );
    this.#cut = counter('gate_sessions_cut_total', 'Open sessions cut because their user was banned.');
    this.#trips = counter('tripwire_trips_total', 'Banned users noticed by a tripwire.');
    this.#gauges(status);
    new Gauge({
      name: 'trollfix_guard_info',
      help: 'Always 1.',
      labelNames: ['version'],
      registers,
    }).set({ version }, 1);
    collectDefaultMetrics({ register: this.registry, prefix: 'trollfix_guard_' });
  }

  ejection({ cause, createdAt, finishedAt, outcome }: EjectionReport): void {
    this.#ejections.inc({ cause, outcome: outcome.kind });
    if (createdAt !== null && outcome.kind === 'clean') {
      this.#ejectionSeconds.observe(Math.max(0, finishedAt - createdAt) / 1000);
    }
  }

  pass(isDone: boolean): void {
    this.#passes.inc({ result: isDone ? 'done' : 'failed' });
  }

  webhook(result: WebhookResult): void {
    this.#webhooks.inc({ result });
  }

  decision({ door, outcome, tookMs }: GateDecision): void {
    this.#decisions.inc({ door, outcome });
    this.#decisionSeconds.observe(tookMs / 1000);
  }

  cut({ sessions }: GateCut): void {
    this.#cut.inc(sessions);
  }

  trip(): void {
    this.#trips.inc();
  }

  #gauges(status: () => GuardStatus): void {
    const gauge = (name: string, help: string, value: (now: GuardStatus) => number | null | undefined) => {
      new Gauge({
        name: `trollfix_guard_${name}`,
        help,
        registers: [this.registry],
        collect() {
          const now = value(status());
          // what this guard has not is no figure
          if (now == null) this.remove();
          else this.set(now);
        },
      });
    };
    const flag = (held: boolean) => (held ? 1 : 0);
    gauge('healthy', '1 while revocations are carried out, as /healthz says.', (s) => flag(s.healthy));
    gauge('alarms', 'Things an operator has to look at; /healthz names them.', (s) => s.alarms.length);
    gauge('database_up', '1 while the database answers.', ({ enforcer }) => flag(enforcer.database.ok));
    gauge('livekit_up', "1 while LiveKit's admin API answers.", ({ enforcer }) =>
      flag(enforcer.livekit.kind === 'ok'),
    );
    gauge('livekit_refused', '1 while LiveKit refuses key or clock of this guard.', ({ enforcer }) =>
      flag(enforcer.livekit.kind === 'refused'),
    );
    gauge('listening', '1 while changes are heard of as they happen.', ({ enforcer }) =>
      flag(enforcer.listening),
    );
    gauge('outbox_pending', 'Ejections that are not done.', ({ enforcer }) => enforcer.outbox.pending);
    gauge('outbox_oldest_seconds', 'Age of the oldest of them.', ({ enforcer: { outbox } }) =>
      outbox.oldestAgeMs === null ? 0 : outbox.oldestAgeMs / 1000,
    );
    gauge('reconciliation_age_seconds', 'Since the last one.', ({ enforcer: { lastPassAgeMs } }) =>
      lastPassAgeMs === null ? null : lastPassAgeMs / 1000,
    );
    gauge('gate_ready', '1 while the gate can decide on admissions.', ({ gate }) => gate && flag(gate.ready));
    gauge('gate_sessions', 'Sessions open through the gate.', ({ gate }) => gate?.open);
    gauge('gate_pairs', 'Seats and bans in the table of the gate.', ({ gate }) => gate?.pairs);
    gauge('tripwires_armed', 'Tripwires armed.', ({ tripwires }) => tripwires?.armed);
  }
}
