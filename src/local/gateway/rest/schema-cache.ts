import pg from 'pg';
import { sleep } from '../../../kernel/clock.ts';
import { withDeadline } from '../../../kernel/deadline.ts';
import { messageOf } from '../../../kernel/errors.ts';
import type { Logger } from '../../../kernel/log.ts';
import { type Catalogue, loadCatalogue } from './catalogue.ts';
import { RestError } from './rest-error.ts';

/** Hosted exposes `public` (and `graphql_public`, which this gateway does not serve). */
export const exposedSchemas: readonly string[] = ['public'];

/** A reading takes about 10 ms; a database that needs 10 s for it is not usable. */
const loadMs = 10_000;
/** Steps between attempts to reach a database that is away. */
const retryMs = 500;
/** DDL comes in bursts (a migration): one reading after the burst instead of one per statement. */
const burstMs = 50;

/**
 * The schema cache: read at start, and again whenever the database says `NOTIFY pgrst` (the platform's event
 * triggers do so after DDL). One connection of its own listens and reads.
 *
 * A request that misses something asks `refreshed()`: a round trip on the listening connection delivers every
 * notification committed before it, so a table made a moment ago is found, while a flood of requests for
 * tables that do not exist costs no reading.
 */
export class SchemaCache {
  readonly #url: string;
  readonly #log: Logger;
  #client: pg.Client | undefined;
  #catalogue: Catalogue | undefined;
  #stale = false;
  #running: Promise<Catalogue> | undefined;
  #next: Promise<Catalogue> | undefined;
  #burst: NodeJS.Timeout | undefined;
  readonly #stopped = new AbortController();

  constructor(adminUrl: string, log: Logger) {
    this.#url = adminUrl;
    this.#log = log;
  }

  async start(): Promise<void> {
    await this.#upToDate();
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('the gateway is stopping'));
    clearTimeout(this.#burst);
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  /** The newest reading. @throws RestError PGRST002 while there is none */
  async current(): Promise<Catalogue> {
    return this.#catalogue ?? this.refreshed();
  }

  /** A reading that has everything committed before this call. @throws RestError PGRST002 */
  async refreshed(): Promise<Catalogue> {
    try {
      return await this.#upToDate();
    } catch (error) {
      throw new RestError(503, 'PGRST002', 'Could not query the database for the schema cache. Retrying.', {
        details: messageOf(error),
      });
    }
  }

  /** One look at a time; everybody who comes during one shares the next, which begins after they came. */
  #upToDate(): Promise<Catalogue> {
    this.#next ??= this.#afterRunning();
    return this.#next;
  }

  async #afterRunning(): Promise<Catalogue> {
    await this.#running?.catch(() => {});
    this.#next = undefined;
    this.#running = this.#look();
    return this.#running;
  }

  async #look(): Promise<Catalogue> {
    const client = await this.#connected();
    try {
      // its answer comes after every notification that is pending
      if (this.#catalogue && !this.#stale) await client.query('select 1');
      if (this.#catalogue && !this.#stale) return this.#catalogue;
      this.#stale = false;
      this.#catalogue = await withDeadline(
        loadCatalogue(client, exposedSchemas),
        loadMs,
        'reading the catalogue',
      );
      return this.#catalogue;
    } catch (error) {
      // a connection that failed once may be hanging: the next look takes a new one
      this.#lost(client, error);
      void client.end().catch(() => {});
      throw error;
    }
  }

  async #connected(): Promise<pg.Client> {
    this.#stopped.signal.throwIfAborted();
    if (this.#client) return this.#client;
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'trollfix-gateway-schema-cache',
      connectionTimeoutMillis: loadMs,
      // a server that stopped answering must not hold the cache for ever
      query_timeout: loadMs,
    });
    client.on('notification', () => this.#invalidate());
    client.on('error', (error) => this.#lost(client, error));
    client.on('end', () => this.#lost(client, new Error('connection ended')));
    try {
      await client.connect();
      await client.query('listen pgrst');
    } catch (error) {
      void client.end().catch(() => {});
      throw error;
    }
    this.#client = client;
    return client;
  }

  #invalidate(): void {
    this.#stale = true;
    clearTimeout(this.#burst);
    this.#burst = setTimeout(() => {
      if (!this.#stale) return; // a request that missed something was faster
      this.#upToDate().catch((error) => this.#log.warn('schema cache not read', { error: messageOf(error) }));
    }, burstMs);
  }

  #lost(client: pg.Client, error: unknown): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#stale = true; // changes may have been missed
    if (this.#stopped.signal.aborted) return;
    this.#log.warn('schema cache lost its connection', { error: messageOf(error) });
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        await sleep(retryMs, this.#stopped.signal);
        await this.#upToDate();
        return;
      } catch (error) {
        this.#log.debug('schema cache not read yet', { error: messageOf(error) });
      }
    }
  }
}
