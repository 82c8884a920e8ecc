import { randomBytes } from 'node:crypto';
import os from 'node:os';
import type { LiveKitTarget, Target } from '../../config/target.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import type { ListenAddress } from '../../kernel/listen-address.ts';
import type { Logger } from '../../kernel/log.ts';
import { packageVersion } from '../../kernel/package-root.ts';
import { redact } from '../../kernel/redact.ts';
import { ReleaseStack } from '../../kernel/release-stack.ts';
import { liveKitAdmin, userOfIdentity } from '../../target/livekit/admin.ts';
import { type LiveKitEvent, webhookVerifier } from '../../target/livekit/webhook.ts';
import type { EjectionReport } from './ejection-report.ts';
import { Enforcer } from './enforcer.ts';
import { type Gate, startGate } from './gate.ts';
import { type GuardBackend, openBackend } from './guard-backend.ts';
import { cannotListen, type DeskRoutes, GuardDesk } from './guard-desk.ts';
import { GuardMetrics } from './guard-metrics.ts';
import { alarmsOf, type GuardStatus } from './guard-status.ts';
import type { SeatPair } from './guard-store.ts';
import type { PassSummary } from './reconciler.ts';
import { isUserId } from './room-verdicts.ts';
import { Tripwires } from './tripwires.ts';
import { WebhookInbox, type WebhookResult } from './webhook-inbox.ts';

export interface GuardOptions {
  /** Needs LiveKit, and a database URL or a service role key, as the source takes. */
  readonly target: Target;
  /** How changes are heard of. */
  readonly source: 'listen' | 'realtime';
  /** Where clients come in; null: without a gate, whoever is removed can come back until they are noticed. */
  readonly gate: ListenAddress | null;
  /** `/metrics`, `/healthz`, `/livez`. */
  readonly metrics: ListenAddress | null;
  /** `/webhook`; may be the same address as `metrics`. */
  readonly webhook: ListenAddress | null;
  /** Tripwires at most; 0: none. */
  readonly tripwires: number;
  /** Whom the gate lets in while the rows are not known: everybody not known to be banned, or nobody (false). */
  readonly failOpen: boolean;
  readonly reconcileEveryMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEjected?: (report: EjectionReport) => void;
}

export interface Guard {
  /** Resolves when everything listens; what cannot be reached yet is tried again for as long as it takes. */
  start(): Promise<void>;
  /** One pass over outbox and rooms, instead of `start`. Listens on nothing. @throws TF-DB-*, TF-SUP-*, TF-LK-* */
  once(signal: AbortSignal): Promise<PassSummary>;
  /** Drains: takes nobody in any more, finishes what it is at, says farewell. Idempotent. */
  stop(): Promise<void>;
  status(): GuardStatus;
  readonly urls: {
    readonly gate: string | null;
    readonly metrics: string | null;
    readonly webhook: string | null;
  };
}

/** Often enough that three missed ones (15 s) are no long time to notice a guard that went. */
const heartbeatMs = 5_000;

/** A signal session lives for hours and its client comes back by itself: this is for joins that are under way. */
const gateDrainMs = 2_000;

const reconcileMs = 2_000;

/**
 * Puts a guard together: the enforcer, the gate, webhooks, tripwires, metrics. Several may run side by side; each does
 * all of it.
 *
 * @throws TF-CFG-005 when the target lacks something it takes
 */
export function createGuard(options: GuardOptions): Guard {
  const { target, source, clock, log } = options;
  if (target.livekit === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${target.name}" has no LiveKit to guard`, {
      hint: 'set LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET',
    });
  }
  return new GuardDaemon(options, target.livekit, openBackend(target, source, { clock, log }));
}

class GuardDaemon implements Guard {
  readonly #options: GuardOptions;
  readonly #livekit: LiveKitTarget;
  readonly #backend: GuardBackend;
  readonly #id = `${os.hostname()}:${randomBytes(4).toString('hex')}`;
  readonly #enforcer: Enforcer;
  readonly #metrics: GuardMetrics;
  readonly #tripwires: Tripwires | null;
  readonly #releases: ReleaseStack;
  readonly #webhooks: Record<WebhookResult, number> = {
    ...{ accepted: 0, duplicate: 0, forged: 0, malformed: 0, overloaded: 0 },
  };
  #gate: Gate | null = null;
  #urls: Guard['urls'] = { gate: null, metrics: null, webhook: null };
  #phase: GuardStatus['phase'] = 'starting';
  #trips = 0;
  /** What the last heartbeat said. */
  #toldHealthy = false;

  constructor(options: GuardOptions, livekit: LiveKitTarget, backend: GuardBackend) {
    const { clock, log, onEjected, tripwires } = options;
    this.#options = options;
    this.#livekit = livekit;
    this.#backend = backend;
    this.#releases = new ReleaseStack((text) => log.warn(`guard: ${text}`));
    this.#metrics = new GuardMetrics(() => this.status(), packageVersion());
    const admin = liveKitAdmin(livekit);
    this.#enforcer = new Enforcer({
      ...{ clock, log },
      livekit: admin,
      store: backend.store,
      source: backend.source,
      reconcileEveryMs: options.reconcileEveryMs ?? reconcileMs,
      onEjected: (report) => {
        this.#metrics.ejection(report);
        onEjected?.(report);
      },
      onPass: (summary) => this.#passed(summary),
    });
    const wires = { livekit, admin, clock, log, guardId: this.#id, limit: tripwires };
    this.#tripwires =
      tripwires > 0 ? new Tripwires({ ...wires, onTrip: (trip) => this.#tripped(trip) }) : null;
  }

  get urls(): Guard['urls'] {
    return this.#urls;
  }

  async start(): Promise<void> {
    try {
      this.#releases.add('database', () => this.#backend.close());
      await this.#introduce();
      await this.#openDesks();
      await this.#openGate();
      this.#releases.add('enforcer', () => this.#enforcer.stop());
      await this.#enforcer.start();
      this.#releases.add('tripwires', () => this.#tripwires?.stop());
      this.#phase = 'running';
      await this.#beat();
      const heart = setInterval(() => void this.#beat(), heartbeatMs);
      this.#releases.add('heartbeat', () => clearInterval(heart));
    } catch (error) {
      await this.#releases.release();
      throw error;
    }
  }

  async once(signal: AbortSignal): Promise<PassSummary> {
    this.#releases.add('database', () => this.#backend.close());
    try {
      return await this.#enforcer.once(signal);
    } finally {
      await this.#releases.release();
    }
  }

  async stop(): Promise<void> {
    if (this.#phase === 'stopped') return;
    this.#phase = 'draining';
    await this.#releases.release();
    this.#phase = 'stopped';
  }

  status(): GuardStatus {
    const enforcer = this.#enforcer.status();
    const gate = this.#gateStatus();
    const tripwires = this.#tripwires && { armed: this.#tripwires.armed, trips: this.#trips };
    const alarms = alarmsOf({ enforcer, gate }, this.#options.reconcileEveryMs ?? reconcileMs);
    return {
      id: this.#id,
      phase: this.#phase,
      healthy: this.#phase === 'running' && alarms.length === 0,
      ...{ alarms, enforcer, gate, tripwires },
      webhooks: this.#options.webhook && { ...this.#webhooks },
    };
  }

  #gateStatus(): GuardStatus['gate'] {
    if (this.#gate === null) return null;
    const { ready, why, pairs, pairsLimit } = this.#backend.table.status();
    return { ...this.#gate.stats(), url: this.#gate.url, ready, why, pairs, pairsLimit };
  }

  /** The first heartbeat: a database that cannot be reached yet is waited for, one that lacks the schema is not. */
  async #introduce(): Promise<void> {
    const { log } = this.#options;
    this.#releases.add('farewell', () => this.#backend.store.farewell(this.#id).catch(() => {})); // it is forgotten after 15 s anyway
    try {
      await this.#backend.store.heartbeat(this.#id, this.#state());
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      log.warn('guard: the database cannot be reached yet; starting all the same', {
        why: redact(messageOf(error)),
      });
    }
  }

  async #openDesks(): Promise<void> {
    const { metrics, webhook } = this.#options;
    const isOne = metrics !== null && webhook !== null && sameAddress(metrics, webhook);
    const open = async (address: ListenAddress | null, routes: DeskRoutes): Promise<string | null> => {
      if (address === null) return null;
      const desk = await GuardDesk.open(address, routes);
      return this.#releases.use('http server', desk).url;
    };
    const watch = this.#watchRoutes();
    const hooks = this.#webhookRoutes();
    const metricsUrl = await open(metrics, isOne ? { ...watch, ...hooks } : watch);
    const webhookUrl = isOne ? metricsUrl : await open(webhook, hooks);
    this.#urls = { ...this.#urls, metrics: metricsUrl, webhook: webhookUrl && `${webhookUrl}/webhook` };
  }

  #watchRoutes(): DeskRoutes {
    const { registry } = this.#metrics;
    return {
      'GET /metrics': async (_request, response) => {
        response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
      },
      // whether it lives: restarting it mends nothing that /healthz complains of
      'GET /livez': (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
      },
      'GET /healthz': (_request, response) => {
        const status = this.status();
        const code = status.healthy ? 200 : 503;
        response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(status)}\n`);
      },
    };
  }

  #webhookRoutes(): DeskRoutes {
    const inbox = new WebhookInbox({
      verify: webhookVerifier(this.#livekit),
      log: this.#options.log,
      onEvent: (event) => this.#hear(event),
      onResult: (result) => {
        this.#webhooks[result] += 1;
        this.#metrics.webhook(result);
      },
    });
    return { 'POST /webhook': (request, response) => inbox.receive(request, response) };
  }

  #hear({ kind, room, identity }: LiveKitEvent): void {
    // it begins anew after LiveKit lost everything, too: whoever comes back first is not the only one
    if (kind === 'room_started') this.#enforcer.reconcile();
    if (kind !== 'participant_joined' || room === null || identity === null) return;
    const pair = { streamId: room, userId: userOfIdentity(identity) };
    if (isUserId(pair.streamId) && isUserId(pair.userId)) this.#enforcer.arrived(pair);
  }

  async #openGate(): Promise<void> {
    const { gate: listen, failOpen, clock, log } = this.#options;
    if (listen === null) return;
    const { table } = this.#backend;
    this.#releases.use('seat table', table);
    await table.start();
    const { url: upstream, apiKey, apiSecret } = this.#livekit;
    const gate = await startGate({
      ...{ listen, upstream, apiKey, apiSecret, table, failOpen, clock, log },
      onDecision: (decision) => this.#metrics.decision(decision),
      onCut: (cut) => this.#metrics.cut(cut),
    }).catch((error: unknown) => {
      throw cannotListen(listen, error);
    });
    this.#releases.add('gate', () => gate.stop({ drainMs: gateDrainMs }));
    this.#gate = gate;
    this.#urls = { ...this.#urls, gate: gate.url };
  }

  #passed(summary: PassSummary | null): void {
    this.#metrics.pass(summary !== null);
    if (summary !== null && this.#phase !== 'draining') this.#tripwires?.want(summary.bans);
    // nobody should go on reading that all is well, or is not
    if (this.status().healthy !== this.#toldHealthy) void this.#beat();
  }

  #tripped({ streamId, userId, tookMs }: SeatPair & { readonly tookMs: number }): void {
    this.#trips += 1;
    this.#metrics.trip();
    const fields = { streamId, userId, tookMs: Math.round(tookMs) };
    this.#options.log.info('guard: a banned user ran into a tripwire and was removed', fields);
  }

  async #beat(): Promise<void> {
    if (this.#phase !== 'running') return;
    // without a database there is nobody to be told, which the enforcer says
    const state = this.#state();
    this.#toldHealthy = state.healthy;
    await this.#backend.store.heartbeat(this.#id, state).catch(() => {});
  }

  #state() {
    const { healthy, alarms } = this.status();
    return {
      version: packageVersion(),
      host: os.hostname(),
      livekitUrl: redact(this.#livekit.url),
      gateUrl: this.#urls.gate,
      metricsUrl: this.#urls.metrics,
      source: this.#options.source,
      healthy,
      alarms,
    };
  }
}

function sameAddress(one: ListenAddress, other: ListenAddress): boolean {
  return one.host === other.host && one.port === other.port;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof TrollfixError && (error.code === 'TF-DB-001' || error.code === 'TF-SUP-001');
}
