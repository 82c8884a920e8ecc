import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../kernel/clock.ts';
import { pollUntil } from '../../kernel/deadline.ts';
import type { Logger } from '../../kernel/log.ts';
import type { Secret } from '../../kernel/redact.ts';
import type { Refusal, RefusalReason } from './admission.ts';
import { type TokenVerifier, tokenVerifier } from './admission-token.ts';
import { answerRequest, answerSocket } from './gate-answer.ts';
import { openSession } from './gate-dial.ts';
import { forwardRequest } from './gate-forward.ts';
import { GateJudge, type GateTable, type Judgement } from './gate-judge.ts';
import { defaultGateLimits, type GateLimits } from './gate-limits.ts';
import { credentialsOf, upgradeFault } from './gate-request.ts';
import { type Route, routeOf } from './gate-route.ts';
import { GateSessions } from './gate-sessions.ts';
import { type GateStats, GateTally, type Obstacle } from './gate-tally.ts';
import { type Upstream, upstreamOf } from './gate-upstream.ts';
import type { SeatChange } from './seat-table.ts';
import type { Pair } from './seat-table-rows.ts';

export interface GateOptions {
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** LiveKit itself: `ws://`, `wss://`, `http://` or `https://`. */
  readonly upstream: string | URL;
  readonly apiKey: string;
  readonly apiSecret: Secret;
  readonly table: GateTable;
  /** Whom to let in while the table is not current: everybody who is not known to be banned, or nobody (false). */
  readonly failOpen: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every decision, for metrics. Must not throw. */
  readonly onDecision?: (decision: GateDecision) => void;
  /** Told when open sessions of a banned user were cut: LiveKit may list them for a while longer. Must not throw. */
  readonly onCut?: (cut: GateCut) => void;
  readonly limits?: Partial<GateLimits>;
}

export interface GateDecision {
  /** `/rtc`, `/rtc/v1/validate`, `/whip/v1`, `/whip/v1/{id}` … */
  readonly door: string;
  readonly outcome: 'admitted' | RefusalReason;
  /** Of whom the token speaks, as far as it could be believed. */
  readonly streamId: string | null;
  readonly userId: string | null;
  /** From the request's headers to the decision. */
  readonly tookMs: number;
}

export interface GateCut {
  readonly streamId: string;
  readonly userId: string;
  readonly sessions: number;
}

export interface Gate {
  /** For clients: `ws://host:port`. */
  readonly url: string;
  readonly port: number;
  stats(): GateStats;
  /**
   * Takes nobody in any more, waits at most `drainMs` for sessions to end by themselves, and ends the rest.
   * Idempotent.
   */
  stop(options?: { readonly drainMs?: number }): Promise<void>;
}

/** One look whether the drain is done. */
const drainPollMs = 20;

/**
 * A reverse proxy in front of LiveKit's doors: `/rtc`, `/rtc/v1`, their validate paths and `/whip/v1`, and no other
 * path. Everybody's token is judged by the seat table; what is sent on is the token that was judged, on a path from
 * a list, with headers from a list. Sessions of somebody who is banned while inside are cut.
 *
 * @throws when the port cannot be had
 */
export async function startGate(options: GateOptions): Promise<Gate> {
  const verify = await tokenVerifier(options.apiKey, options.apiSecret);
  const gate = new RunningGate(options, verify);
  await gate.listen();
  return gate;
}

type Door = Exclude<Route, { readonly kind: 'none' }>;

/** Somebody who may come in, and the words they are announced with. */
interface Entry {
  readonly judgement: Judgement;
  readonly streamId: string;
  readonly userId: string;
  readonly token: string;
  readonly target: string;
}

class RunningGate implements Gate {
  readonly #options: GateOptions;
  readonly #limits: GateLimits;
  readonly #upstream: Upstream;
  readonly #judge: GateJudge;
  readonly #server: Server;
  readonly #sessions = new GateSessions();
  readonly #tally = new GateTally();
  /** Sockets of upgrades that are being decided, dialled or refused: everybody who has no session. */
  readonly #knocking = new Set<Duplex>();
  /** Answers that a connection still waits for. */
  readonly #owed = new WeakMap<Duplex, number>();
  #stopListening: () => void = () => {};
  #draining = false;
  #upstreamDown = false;
  #stopped: Promise<void> | undefined;

  constructor(options: GateOptions, verify: TokenVerifier) {
    this.#options = options;
    this.#limits = { ...defaultGateLimits, ...options.limits };
    this.#upstream = upstreamOf(options.upstream);
    const { table, failOpen } = options;
    this.#judge = new GateJudge({ verify, table, failOpen, settleMs: this.#limits.settleMs });
    this.#server = this.#createServer();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  get url(): string {
    const { host } = this.#options.listen;
    return `ws://${host.includes(':') ? `[${host}]` : host}:${this.port}`;
  }

  async listen(): Promise<void> {
    const { listen, table, log } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(listen.port, listen.host, resolve);
    });
    this.#server.on('error', ({ message }) => log.error('gate: server error', { error: message }));
    this.#stopListening = table.onChange((change) => this.#cutBanned(change));
  }

  stats(): GateStats {
    return this.#tally.stats(this.#sessions.size);
  }

  stop({ drainMs = 0 }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#drain(drainMs);
    return this.#stopped;
  }

  async #drain(drainMs: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const idle = () => (this.#tally.pending === 0 && this.#sessions.size === 0 ? true : undefined);
    if (drainMs > 0) {
      // whoever is still there when the time is over is sent away
      await pollUntil(idle, { ms: drainMs, everyMs: drainPollMs, what: 'the drain' }).catch(() => {});
    }
    this.#stopListening();
    for (const socket of this.#knocking) socket.destroy();
    await this.#sessions.endAll();
    this.#server.closeAllConnections();
    await closed;
  }

  #createServer(): Server {
    const limits = this.#limits;
    const server = createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
      noDelay: true,
    });
    server.maxConnections = limits.connections;
    server.on('request', (request, response) => void this.#request(request, response));
    // an HTTP server's sockets are those of `net`
    server.on('upgrade', (request, socket, head) => void this.#knock(request, socket as Socket, head));
    server.on('connect', (_request, socket) => this.#turnAway(socket, 405, 'method not allowed'));
    server.on('clientError', (error: Error & { code?: string }, socket) => {
      this.#turnAway(socket, statusOfParserError(error.code), 'bad request');
    });
    server.on('drop', () => this.#tally.refused('overloaded'));
    return server;
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    this.#owed.set(socket, (this.#owed.get(socket) ?? 0) + 1);
    response.once('close', () => this.#owed.set(socket, (this.#owed.get(socket) ?? 1) - 1));

    const refuse = (status: number, message: string) => answerRequest(response, status, message);
    const route = this.#routeOf(request, refuse);
    if (route === null) return;
    // LiveKit answers a plain GET of a signal path so, too
    if (route.kind === 'session') return refuse(404, 'not found');
    await this.#inTurn(refuse, async () => {
      let onward: { readonly target: string; readonly token: string | null };
      if (route.kind === 'open') onward = { target: route.path, token: null };
      else {
        const entry = await this.#decide(request, route);
        if ('admit' in entry) return refuse(entry.status, entry.message);
        onward = entry;
      }
      const { target, token } = onward;
      const passed = { upstream: this.#upstream, target, token, limits: this.#limits };
      this.#noteUpstream(await forwardRequest(request, response, passed));
    });
  }

  async #knock(request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
    // a client that breaks off is noticed by `close`
    client.on('error', () => {});
    const refuse = (status: number, message: string) => answerSocket(client, status, message);
    // an answer would be taken for one to the request before
    if ((this.#owed.get(client) ?? 0) > 0)
      return this.#turnAway(client, 400, 'an upgrade cannot be pipelined');
    const route = this.#routeOf(request, refuse);
    if (route === null) return;
    const fault = route.kind === 'session' ? upgradeFault(request) : 'there is nothing to upgrade to';
    if (fault !== null) return this.#turnAway(client, 400, fault);
    await this.#inTurn(refuse, async () => {
      this.#knocking.add(client);
      client.once('close', () => this.#knocking.delete(client));
      const entry = await this.#decide(request, route);
      if (client.destroyed) return;
      if ('admit' in entry) return refuse(entry.status, entry.message);
      await this.#open(request, client, head, entry);
    });
  }

  async #open(request: IncomingMessage, client: Socket, head: Buffer, entry: Entry): Promise<void> {
    const { judgement, target, token } = entry;
    const outcome = await openSession({
      request,
      client,
      head,
      target,
      token,
      upstream: this.#upstream,
      limits: this.#limits,
      again: () => {
        const verdict = judgement.again();
        if (verdict.admit) return null;
        this.#tally.refused(verdict.reason);
        return verdict;
      },
    });
    if (outcome.kind === 'failed') this.#noteUpstream(outcome.status);
    if (outcome.kind === 'open') {
      this.#noteUpstream(101);
      this.#knocking.delete(client);
      // not the entry itself: it holds the token, and a pair is told to logs and hooks
      const pair = { streamId: entry.streamId, userId: entry.userId };
      this.#sessions.add(pair, outcome.session);
      // told between the last look and now
      this.#cutBanned([pair]);
    }
  }

  /** Where a request may go; null when it was refused. */
  #routeOf(request: IncomingMessage, refuse: (status: number, message: string) => void): Door | null {
    const route = routeOf(request.method ?? '', request.url ?? '');
    if (route.kind !== 'none') return route;
    this.#tally.refused('bad_request');
    refuse(route.status, route.message);
    return null;
  }

  /** Runs an admission if there is room for one more. */
  async #inTurn(
    refuse: (status: number, message: string) => void,
    admission: () => Promise<void>,
  ): Promise<void> {
    const obstacle: Obstacle | null = this.#draining
      ? 'draining'
      : this.#tally.pending >= this.#limits.pending
        ? 'overloaded'
        : null;
    if (obstacle !== null) {
      this.#tally.refused(obstacle);
      return refuse(503, obstacle === 'draining' ? 'the gate is closing' : 'too many at once, try again');
    }
    this.#tally.pending += 1;
    try {
      await admission();
    } catch (error) {
      // nothing here is expected to throw; one request that does must not take the gate along
      this.#options.log.error('gate: a request failed', { error: String(error) });
      refuse(500, 'internal error');
    } finally {
      this.#tally.pending -= 1;
    }
  }

  async #decide(request: IncomingMessage, { door, path, purpose, query }: Door): Promise<Entry | Refusal> {
    const startedAtMs = this.#options.clock.monotonicMs();
    const credentials = credentialsOf(request, query);
    if ('admit' in credentials) return this.#noteRefusal(door, startedAtMs, credentials);
    const judgement = await this.#judge.judge(credentials.token, purpose);
    const { verdict } = judgement;
    if (!verdict.admit) return this.#noteRefusal(door, startedAtMs, verdict);
    this.#tally.admitted += 1;
    this.#note(door, startedAtMs, 'admitted', verdict);
    const { streamId, userId } = verdict;
    const target = credentials.query === '' ? path : `${path}?${credentials.query}`;
    return { judgement, streamId, userId, token: credentials.token, target };
  }

  #noteRefusal(door: string, startedAtMs: number, refusal: Refusal): Refusal {
    this.#tally.refused(refusal.reason);
    this.#note(door, startedAtMs, refusal.reason, refusal.about);
    return refusal;
  }

  #note(door: string, startedAtMs: number, outcome: GateDecision['outcome'], about: Pair | undefined): void {
    const { clock, onDecision } = this.#options;
    const { streamId = null, userId = null } = about ?? {};
    onDecision?.({ door, outcome, streamId, userId, tookMs: clock.monotonicMs() - startedAtMs });
  }

  /** Counts what LiveKit is to blame for, and says once that it is away and once that it is back. */
  #noteUpstream(status: number): void {
    const { log } = this.#options;
    const down = status === 502 || status === 504;
    if (down) this.#tally.refused(status === 502 ? 'upstream_down' : 'upstream_slow');
    // the client went away first: that says nothing
    if (status === 0 || down === this.#upstreamDown) return;
    this.#upstreamDown = down;
    if (down) log.warn('gate: LiveKit cannot be reached', { status });
    else log.info('gate: LiveKit answers again');
  }

  /** A change of the table: whoever is inside and banned by now has to go. */
  #cutBanned(change: SeatChange): void {
    const inside = change === 'all' ? this.#sessions.pairs() : change;
    for (const pair of inside) {
      if (!this.#judge.isBanned(pair)) continue;
      this.#sessions.cutLater(pair, {
        afterMs: this.#limits.cutAfterMs,
        // a ban may have been lifted in between
        still: () => this.#judge.isBanned(pair),
        cut: (sessions) => {
          this.#tally.cut += sessions;
          this.#options.log.info('gate: sessions of a banned user were cut', { ...pair, sessions });
          this.#options.onCut?.({ ...pair, sessions });
        },
      });
    }
  }

  #turnAway(socket: Duplex, status: number, message: string): void {
    socket.on('error', () => {});
    this.#tally.refused('bad_request');
    answerSocket(socket, status, message);
  }
}

/** As Node's own HTTP server answers what its parser refuses. */
function statusOfParserError(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}
