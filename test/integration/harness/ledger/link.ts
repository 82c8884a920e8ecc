import { Socket } from 'node:net';
import pg from 'pg';
import { sleep } from '../../../../src/kernel/clock.ts';
import { TrollfixError } from '../../../../src/kernel/errors.ts';
import { connectionConfig, databaseError } from '../../../../src/target/postgres/pool.ts';

/** Thrown when a connection is lost before the answer to a request. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** Whether it may have been carried out: it was sent, and nobody said. False: there was no connection to send it on. */
  readonly sent: boolean;

  constructor(message: string, options: { sent: boolean; cause: unknown }) {
    super(message, { cause: options.cause });
    this.sent = options.sent;
  }
}

/** A statement that is not answered by then is given up as unknown; rounds that are held end long before. */
const answerMs = 30_000;

/** A client's connection that may be lost at any time, by whoever's doing, and is made again. */
export class Link implements AsyncDisposable {
  readonly #url: string;
  readonly #name: string;
  readonly #prepare: string;
  #client: pg.Client | undefined;
  #socket: Socket | undefined;

  /** @param prepare SQL for every new connection */
  constructor(url: string, options: { name: string; prepare?: string }) {
    this.#url = url;
    this.#name = options.name;
    this.#prepare = options.prepare ?? '';
  }

  /**
   * @param hangUpAfterMs cuts the connection so long after the statement was sent
   * @throws NoAnswer when the connection is lost before the answer; what the server says otherwise
   */
  async query<Row extends pg.QueryResultRow>(
    sql: string,
    values: unknown[] = [],
    hangUpAfterMs: number | null = null,
  ): Promise<Row[]> {
    let timer: NodeJS.Timeout | undefined;
    let sent = false;
    try {
      const client = this.#client ?? (await this.#connect());
      const answer = client.query<Row>(sql, values);
      sent = true;
      if (hangUpAfterMs !== null) timer = setTimeout(() => this.hangUp(), hangUpAfterMs);
      return (await answer).rows;
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      this.hangUp();
      throw new NoAnswer(`${this.#name}: no answer`, { sent, cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes the socket as a client that has died would: without a word. */
  hangUp(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#client = undefined;
  }

  async #connect(): Promise<pg.Client> {
    const socket = new Socket();
    const client = new pg.Client({
      ...connectionConfig(this.#url, { applicationName: this.#name }),
      query_timeout: answerMs,
      stream: () => socket,
    });
    // lost while idle: the next query notices
    client.on('error', () => {
      if (this.#client === client) this.hangUp();
    });
    this.#socket = socket;
    await client.connect();
    if (this.#prepare !== '') await client.query(this.#prepare);
    this.#client = client;
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hangUp();
  }
}

function isConnectionLoss(error: unknown): boolean {
  const meaning = databaseError(error);
  if (meaning instanceof TrollfixError) return meaning.code === 'TF-DB-001';
  return /Query read timeout|not queryable|Connection terminated|write EPIPE|socket has been ended/i.test(
    meaning.message,
  );
}

/** A killed server is back within seconds; a minute is one that does not come back. */
const backWithinMs = 60_000;
const retryEveryMs = 25;

/**
 * Asks until there is an answer.
 * @param onUnknown after each attempt that was sent and had none
 * @throws NoAnswer when there is none for a minute
 */
export async function untilAnswered<T>(ask: () => Promise<T>, onUnknown: () => void): Promise<T> {
  const endsAt = performance.now() + backWithinMs;
  while (true) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (error.sent) onUnknown();
      if (performance.now() > endsAt) throw error;
    }
    await sleep(retryEveryMs);
  }
}
