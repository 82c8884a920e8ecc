import { type Dispatcher, Pool } from 'undici';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';

export interface SupabaseRestOptions {
  readonly supabaseUrl: string;
  readonly apiKey: string;
  /** Keep-alive connections; requests beyond them wait in the pool, which the latencies then show. */
  readonly connections?: number;
  readonly timeoutMs?: number;
}

export interface RestAnswer {
  /** 0 when there was no answer at all. */
  readonly status: number;
  readonly text: string;
}

/** Called once per request, whatever happened. `status` 0: transport, with the reason in `text`. */
export type OnAnswer = (status: number, text: string) => void;

/** Longer than PostgREST's own limits for authenticated users (8 s), so that its answer is seen. */
const defaultTimeoutMs = 15_000;
/** On the hot path bodies are small, or the start of an error document says enough. */
const keptBodyBytes = 64 * 1024;
/** Of an answer that is asked for: the users of the largest run (some 100 bytes each) many times over. */
const wholeBodyBytes = 64 * 1024 * 1024;

/**
 * PostgREST and GoTrue over a pool of keep-alive connections. Requests go through `dispatch`: one handler object
 * and no streams or promises each (load-engine.md §7: a fifth more requests per CPU-second than `request`).
 */
export class SupabaseRest {
  readonly #pool: Pool;
  readonly #apiKey: string;
  readonly #host: string;

  constructor(options: SupabaseRestOptions) {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const url = new URL(options.supabaseUrl);
    this.#host = url.host;
    this.#apiKey = options.apiKey;
    this.#pool = new Pool(url.origin, {
      connections: options.connections ?? 16,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connectTimeout: Math.min(timeoutMs, 10_000),
    });
  }

  /** Headers of a caller, to be built once per user. `sb_…` keys are never sent as Bearer: they are no JWTs. */
  headersFor(token?: string): string[] {
    const bearer = token ?? (this.#apiKey.startsWith('sb_') ? undefined : this.#apiKey);
    const headers = ['apikey', this.#apiKey, 'content-type', 'application/json'];
    return bearer === undefined ? headers : [...headers, 'authorization', `Bearer ${bearer}`];
  }

  /** The hot path: `POST /rest/v1/rpc/<name>` with a ready body and headers from {@link headersFor}. */
  sendRpc(name: string, body: string, headers: string[], onAnswer: OnAnswer): void {
    this.#dispatch({ method: 'POST', path: `/rest/v1/rpc/${name}`, headers, body }, onAnswer, keptBodyBytes);
  }

  /**
   * Calls an RPC and gives its parsed result.
   * @throws TF-SUP-001 no answer, TF-SUP-002 key refused, TF-SUP-003 any other refusal, with PostgREST's words
   */
  async rpc(name: string, args: Record<string, unknown>, token?: string): Promise<unknown> {
    return this.json('POST', `/rest/v1/rpc/${name}`, args, token);
  }

  /** Any JSON request. @throws as {@link rpc} */
  async json(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: Record<string, unknown>,
    token?: string,
  ): Promise<unknown> {
    const answer = await this.request(method, path, body, token);
    if (answer.status >= 200 && answer.status < 300) {
      return answer.text === '' ? null : JSON.parse(answer.text);
    }
    throw this.#errorOf(`${method} ${path}`, answer);
  }

  /** Any request, with its status whatever it is; status 0 when there was no answer. */
  request(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    body?: Record<string, unknown>,
    token?: string,
  ): Promise<RestAnswer> {
    return new Promise((resolve) => {
      const headers = this.headersFor(token);
      const options = { method, path, headers, body: body === undefined ? null : JSON.stringify(body) };
      this.#dispatch(options, (status, text) => resolve({ status, text }), wholeBodyBytes);
    });
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #dispatch(options: Dispatcher.DispatchOptions, onAnswer: OnAnswer, keptBytes: number): void {
    this.#pool.dispatch(options, new AnswerHandler(onAnswer, keptBytes));
  }

  #errorOf(what: string, { status, text }: RestAnswer): TrollfixError {
    if (status === 0) {
      return new TrollfixError('TF-SUP-001', `${this.#host} did not answer ${what}: ${text}`);
    }
    const code = status === 401 || status === 403 ? 'TF-SUP-002' : 'TF-SUP-003';
    return new TrollfixError(code, `${what}: HTTP ${status}`, {
      why: text.slice(0, 500),
      hint: 'Check the key and that the project is provisioned: `trollfix doctor`.',
      details: { status },
    });
  }
}

class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #onAnswer: OnAnswer;
  readonly #keptBytes: number;
  #status = 0;
  #bytes = 0;
  /** Decoded at the end: a character may be split between two chunks. */
  readonly #chunks: Buffer[] = [];

  constructor(onAnswer: OnAnswer, keptBytes: number) {
    this.#onAnswer = onAnswer;
    this.#keptBytes = keptBytes;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes < this.#keptBytes) this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  onResponseEnd(): void {
    this.#onAnswer(this.#status, Buffer.concat(this.#chunks).toString('utf8'));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#onAnswer(0, messageOf(error));
  }
}
