import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type pg from 'pg';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { sleep } from '../../../../kernel/clock.ts';
import { withDeadline } from '../../../../kernel/deadline.ts';
import { messageOf } from '../../../../kernel/errors.ts';
import type { Logger } from '../../../../kernel/log.ts';
import { existingPublicationsSql } from './changes.sql.ts';
import { PgoutputDecoder, type StreamedChange } from './pgoutput-decoder.ts';

/** Changes that may wait for delivery before reading from PostgreSQL pauses, and where it goes on. */
const queuedMax = 5_000;
const queuedResume = 1_000;
/** The same in bytes: rows can be a megabyte each. */
const queuedBytesMax = 64 * 1024 * 1024;
/** Changes handled together: enough to share one visibility check, few enough to keep latency low. */
const batchMax = 500;
const reconnectFirstMs = 100;
const reconnectMaxMs = 2_000;
/** Closing a replication connection whose server is gone must not hold up a stop. */
const closeMs = 2_000;

/** Output formats as a REST session has them, so that text values mean the same everywhere. */
const sessionOptions =
  '-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1';

export interface ReplicationStreamOptions {
  readonly adminUrl: string;
  readonly pool: pg.Pool;
  readonly publications: readonly string[];
  readonly log: Logger;
  /** In commit order; the next batch waits for it. It may not reject. */
  onChanges(changes: StreamedChange[]): Promise<void>;
  onUp(): void;
  onDown(): void;
}

/**
 * One logical replication connection with a temporary slot: it holds no WAL once the connection is gone, and
 * a crash leaves nothing to clean up. Reconnects for ever; what was committed while it was down is not seen
 * (hosted loses it as well when its slot is gone).
 */
export class ReplicationStream {
  readonly #options: ReplicationStreamOptions;
  readonly #stopped = new AbortController();
  #running: Promise<void> | null = null;
  #service: LogicalReplicationService | null = null;
  #publications: readonly string[] = [];
  #up = false;
  /** Set while the stream starts, by whoever made a publication it may not carry. */
  #lookAgain = false;
  #generation = 0;
  #queue: StreamedChange[] = [];
  #queuedBytes = 0;
  #delivering: Promise<void> | null = null;
  #paused: Socket | null = null;

  constructor(options: ReplicationStreamOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#up;
  }

  /** How often the connection had to be made again. */
  get reconnects(): number {
    return Math.max(0, this.#generation - 1);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#close();
    await this.#running;
    await this.#delivering;
  }

  /** Starts over if a publication has appeared that the running stream does not carry. */
  async includeNewPublications(): Promise<void> {
    if (!this.#up) {
      // one that is starting may have looked before the publication was made
      this.#lookAgain = true;
      return;
    }
    if (this.#publications.length === this.#options.publications.length) return;
    const existing = await this.#existingPublications();
    if (!this.#up || existing.length === this.#publications.length) return;
    this.#wentDown();
    await this.#close();
  }

  async #run(): Promise<void> {
    let waitMs = reconnectFirstMs;
    while (!this.#stopped.signal.aborted) {
      const startedMs = performance.now();
      try {
        await this.#runOnce();
      } catch (error) {
        if (this.#stopped.signal.aborted) break;
        this.#options.log.warn('replication stream lost', { message: messageOf(error) });
      }
      this.#wentDown();
      // a stream that lived for a while was healthy: start again from the short wait
      if (performance.now() - startedMs > reconnectMaxMs) waitMs = reconnectFirstMs;
      await sleep(waitMs, this.#stopped.signal).catch(() => {});
      waitMs = Math.min(waitMs * 2, reconnectMaxMs);
    }
  }

  async #runOnce(): Promise<void> {
    this.#publications = await this.#existingPublications();
    if (this.#publications.length === 0) throw new Error('no publication to stream');
    const decoder = new PgoutputDecoder();
    const plugin = new TemporarySlotPlugin(decoder, this.#publications, this.#stopped.signal);
    const service = new LogicalReplicationService(
      {
        connectionString: this.#options.adminUrl,
        application_name: 'trollfix realtime stream',
        options: sessionOptions,
        connectionTimeoutMillis: 5_000,
      },
      { acknowledge: { auto: false, timeoutSeconds: 10 } },
    );
    this.#service = service;
    service.on('error', (error) => this.#options.log.debug('replication', { message: messageOf(error) }));
    service.on('start', () => void this.#announce(service));
    // at shutdown PostgreSQL waits for this answer before it ends
    service.on('heartbeat', (lsn, _time, shouldRespond) => {
      if (shouldRespond) void service.acknowledge(lsn);
    });
    // PgoutputPlugin types its messages; ours come out of TemporarySlotPlugin.parse
    service.on('data', (_lsn, change: StreamedChange | null) => {
      if (change) this.#enqueue(change, plugin.socket);
    });
    this.#generation++;
    // an old connection's slot may live on for a moment: the name must be new each time
    const slot = `trollfix_realtime_${randomBytes(8).toString('hex')}`;
    // node-postgres never settles a connect() that end() came into: a stop must not wait for it
    const { signal } = this.#stopped;
    const stopped = Promise.withResolvers<never>();
    const onAbort = () => stopped.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (!signal.aborted) await Promise.race([service.subscribe(plugin, slot), stopped.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      await this.#close();
    }
  }

  async #existingPublications(): Promise<string[]> {
    const result = await this.#options.pool.query<{ name: string }>(existingPublicationsSql, [
      this.#options.publications,
    ]);
    return result.rows.map((row) => row.name);
  }

  async #close(): Promise<void> {
    const service = this.#service;
    this.#service = null;
    if (!service) return;
    await withDeadline(service.stop(), closeMs, 'closing the replication connection').catch((error) =>
      this.#options.log.debug('replication', { message: messageOf(error) }),
    );
  }

  /** Says that changes flow, once nothing has been published meanwhile that this stream does not carry. */
  async #announce(service: LogicalReplicationService): Promise<void> {
    try {
      do {
        this.#lookAgain = false;
        const existing = await this.#existingPublications();
        if (this.#service !== service) return;
        if (existing.length > this.#publications.length) return await this.#close();
      } while (this.#lookAgain);
      this.#wentUp();
    } catch (error) {
      this.#options.log.debug('replication', { message: messageOf(error) });
      if (this.#service === service) await this.#close();
    }
  }

  #wentUp(): void {
    this.#up = true;
    this.#options.onUp();
  }

  #wentDown(): void {
    if (!this.#up) return;
    this.#up = false;
    this.#options.onDown();
  }

  #enqueue(change: StreamedChange, socket: Socket | null): void {
    this.#queue.push(change);
    this.#queuedBytes += change.bytes;
    if (!this.#paused && socket && (this.#queue.length > queuedMax || this.#queuedBytes > queuedBytesMax)) {
      socket.pause();
      this.#paused = socket;
    }
    this.#delivering ??= this.#deliver().finally(() => {
      this.#delivering = null;
    });
  }

  async #deliver(): Promise<void> {
    // one turn of the event loop: what arrives in one read is handled together
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0 && !this.#stopped.signal.aborted) {
      const batch = this.#queue.splice(0, batchMax);
      for (const change of batch) this.#queuedBytes -= change.bytes;
      await this.#options.onChanges(batch);
      if (this.#paused && this.#queue.length < queuedResume && this.#queuedBytes < queuedBytesMax) {
        this.#paused.resume();
        this.#paused = null;
      }
    }
  }
}

/** pgoutput with text values over a slot that lives as long as its connection. */
class TemporarySlotPlugin extends PgoutputPlugin {
  readonly #decoder: PgoutputDecoder;
  readonly #stopped: AbortSignal;
  /** The connection's socket, to pause reading. */
  socket: Socket | null = null;

  constructor(decoder: PgoutputDecoder, publicationNames: readonly string[], stopped: AbortSignal) {
    super({ protoVersion: 1, publicationNames: [...publicationNames] });
    this.#decoder = decoder;
    this.#stopped = stopped;
  }

  // the service hands on whatever parse returns; the declared type is that of the parser we replace
  override parse(buffer: Buffer): never {
    return this.#decoder.decode(buffer) as never;
  }

  override async start(client: pg.Client, slotName: string, _lastLsn: string): Promise<unknown> {
    if (this.#stopped.aborted) {
      // the stop came before there was a connection to close
      await client.end();
      throw this.#stopped.reason;
    }
    // node-postgres has the connection and its stream, but does not declare them
    this.socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
    // the walsender's grammar knows its keywords only in capitals
    await client.query(
      `CREATE_REPLICATION_SLOT "${slotName}" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')`,
    );
    return super.start(client, slotName, '0/0');
  }
}
