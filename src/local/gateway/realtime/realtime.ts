import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type pg from 'pg';
import { WebSocketServer } from 'ws';
import { messageOf } from '../../../kernel/errors.ts';
import type { Logger } from '../../../kernel/log.ts';
import type { RealtimeContext } from '../context.ts';
import { openPool } from '../pools.ts';
import { type ChangeCounters, ChangeDelivery } from './changes/change-delivery.ts';
import { ChangeSubscriptions } from './changes/change-subscriptions.ts';
import { ReplicationStream } from './changes/replication-stream.ts';
import { Connection } from './connection.ts';
import { type RealtimeCore, type RealtimeCounters, zeroCounters } from './core.ts';
import { databaseBroadcasts, isMessagesChange } from './database-broadcast.ts';
import { answerBroadcast, customHeaders } from './http-broadcast.ts';
import { MessageStore } from './message-store.ts';
import { Outbox } from './outbox.ts';
import { PolicyChecker } from './policies.ts';
import { Quota, type QuotaRefusals } from './quota.ts';
import { Sweeper } from './sweeper.ts';
import { Topics } from './topics.ts';
import { checkUpgrade, refuseUpgrade } from './upgrade.ts';

export interface RealtimeStats extends RealtimeCounters, ChangeCounters {
  readonly connections: number;
  readonly users: number;
  readonly channels: number;
  readonly topics: number;
  readonly changeSubscriptions: number;
  readonly replicating: boolean;
  readonly replicationReconnects: number;
  readonly quotaRefusals: Readonly<QuotaRefusals>;
}

/** `/realtime/v1` of the gateway. */
export interface Realtime {
  /** Starts the replication stream; does not wait for it: subscribers are told when it flows. */
  start(): Promise<void>;
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** true: the request is Realtime's and gets answered. */
  handleHttp(req: IncomingMessage, res: ServerResponse): boolean;
  stats(): RealtimeStats;
  /** Closes every socket with 1001; idempotent. */
  stop(): Promise<void>;
}

export interface RealtimeOptions {
  /**
   * How long a streamed transaction may stay invisible before its changes are delivered anyway. 30 s is longer
   * than any commit waits on a healthy server; 0 switches the wait off, which loses events under row security.
   */
  readonly visibilityWaitMs?: number;
}

const prefix = '/realtime/v1';
/** cowboy's max_frame_size on hosted; larger frames close the socket with 1009 */
const frameBytesMax = 5_000_000;
/** Policy checks of a join storm share these; more would only queue inside PostgreSQL on small machines. */
const poolMax = 4;
const statementMs = 10_000; // hosted gives a subscription's transaction 10 s
const publications = ['supabase_realtime', 'supabase_realtime_messages_publication'];

export function createRealtime(context: RealtimeContext, options: RealtimeOptions = {}): Realtime {
  return new RealtimeServer(context, options.visibilityWaitMs ?? 30_000);
}

class RealtimeServer implements Realtime {
  readonly #core: RealtimeCore;
  readonly #pool: pg.Pool;
  readonly #deliveryPool: pg.Pool;
  readonly #delivery: ChangeDelivery;
  readonly #stream: ReplicationStream;
  readonly #sweeper: Sweeper;
  readonly #connections = new Set<Connection>();
  readonly #wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: frameBytesMax,
  });
  #stopped: Promise<void> | undefined;

  constructor(context: RealtimeContext, visibilityWaitMs: number) {
    const { log } = context;
    this.#pool = realtimePool(context.adminUrl, poolMax, log);
    // of its own: a storm of joins must not hold up the changes
    this.#deliveryPool = realtimePool(context.adminUrl, 1, log);
    const quota = new Quota(context.quota);
    const subscriptions = new ChangeSubscriptions(this.#pool, log);
    this.#core = {
      auth: context.auth,
      log,
      quota,
      topics: new Topics(),
      policies: new PolicyChecker(this.#pool),
      messages: new MessageStore(this.#pool),
      changes: subscriptions,
      outbox: new Outbox(),
      counters: zeroCounters(),
      gauges: { users: 0 },
      replicationReady: () => this.#stream.isUp,
    };
    this.#delivery = new ChangeDelivery(
      { pool: this.#deliveryPool, subscriptions, quota, log },
      visibilityWaitMs,
    );
    this.#stream = this.#createStream(context.adminUrl);
    subscriptions.onWanted = () =>
      this.#stream
        .includeNewPublications()
        .catch((error) => log.debug('publications', { message: messageOf(error) }));
    this.#sweeper = new Sweeper(this.#core, this.#connections);
  }

  #createStream(adminUrl: string): ReplicationStream {
    const { log, changes } = this.#core;
    return new ReplicationStream({
      adminUrl,
      pool: this.#pool,
      publications,
      log,
      onChanges: async (streamed) => {
        databaseBroadcasts(this.#core, streamed.filter(isMessagesChange));
        await this.#delivery.deliver(streamed);
      },
      onUp: () => changes.streamUp(),
      onDown: () => changes.streamDown(),
    });
  }

  async start(): Promise<void> {
    this.#stream.start();
    this.#sweeper.start();
  }

  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const onError = (error: Error) => this.#core.log.debug('upgrade', { message: error.message });
    socket.on('error', onError);
    if (this.#stopped) {
      socket.destroy();
      return;
    }
    checkUpgrade(this.#core, req).then(
      ({ vsn, token }) => {
        if (socket.destroyed || this.#stopped) {
          socket.destroy();
          return;
        }
        socket.off('error', onError);
        this.#wss.handleUpgrade(req, socket, head, (ws) => {
          // an http.Server's upgrade hands over a net.Socket (or a TLS socket, which is one)
          const connection = new Connection(this.#core, ws, socket as Socket, {
            vsn,
            token,
            headers: customHeaders(req),
            onClosed: (closed) => this.#connections.delete(closed),
          });
          this.#connections.add(connection);
          this.#core.counters.connectionsAccepted++;
        });
      },
      (error) => refuseUpgrade(this.#core, socket, error),
    );
  }

  handleHttp(req: IncomingMessage, res: ServerResponse): boolean {
    const url = URL.parse(req.url ?? '/', 'http://gateway');
    if (!url || !(url.pathname === prefix || url.pathname.startsWith(`${prefix}/`))) return false;
    const path = url.pathname.slice(prefix.length);
    if (path.startsWith('/api/broadcast')) {
      void answerBroadcast(this.#core, req, res, path, url.searchParams);
      return true;
    }
    const status = path === '/websocket' ? 426 : 404;
    req.resume();
    res.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
    res.end(JSON.stringify({ message: status === 426 ? 'Upgrade Required' : 'not found' }));
    return true;
  }

  stats(): RealtimeStats {
    let channels = 0;
    for (const connection of this.#connections) channels += connection.channels.size;
    return {
      ...this.#core.counters,
      ...this.#delivery.counters,
      connections: this.#connections.size,
      users: this.#core.gauges.users,
      channels,
      topics: this.#core.topics.size,
      changeSubscriptions: this.#core.changes.count,
      replicating: this.#stream.isUp,
      replicationReconnects: this.#stream.reconnects,
      quotaRefusals: { ...this.#core.quota.refusals },
    };
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#sweeper.stop();
    this.#core.quota.stop();
    this.#core.changes.stop();
    await this.#stream.stop();
    for (const connection of this.#connections) connection.close(1001, 'going away');
    await this.#sweeper.terminateRemaining();
    this.#wss.close();
    await Promise.all([this.#pool.end(), this.#deliveryPool.end()]);
  }
}

function realtimePool(connectionString: string, max: number, log: Logger): pg.Pool {
  return openPool(
    {
      connectionString,
      application_name: 'trollfix realtime',
      max,
      // includes the wait for a free connection; a client gives up its join after as long
      connectionTimeoutMillis: 10_000,
      statement_timeout: statementMs,
      query_timeout: statementMs + 1_000,
    },
    log,
  );
}
