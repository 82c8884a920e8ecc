import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import type { KeyAuthenticator } from './authenticator.ts';
import { DemoCoins } from './demo-coins.ts';
import { readBody, send, sendJson } from './http-exchange.ts';
import type { RestHandler } from './rest/rest-handler.ts';

export interface DemoOptions {
  /** Folder of the bundled page (`scripts/bundle-demo.ts`). */
  readonly dir: string;
  /** The stream that it shows. */
  readonly streamId: string;
}

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/**
 * Only what the bundle itself brings may run. The HLS origin and LiveKit have ports of their own on this machine, so
 * `connect-src` names the loopback hosts; nothing beyond them can be reached.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:* http://localhost:* ws://localhost:*",
  'media-src blob: http://127.0.0.1:*',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `POST /demo/coins` has no body that anybody reads. */
const coinsBodyBytesLimit = 1024;

/** `/demo/`: the page that shows the app at work on the embedded stack. */
export class DemoSite {
  readonly #options: DemoOptions;
  readonly #anonKey: string;
  readonly #coins: DemoCoins;

  constructor(parts: {
    readonly options: DemoOptions;
    readonly anonKey: string;
    readonly auth: KeyAuthenticator;
    readonly rest: RestHandler;
  }) {
    this.#options = parts.options;
    this.#anonKey = parts.anonKey;
    this.#coins = new DemoCoins(parts.auth, parts.rest);
  }

  /** @param name the path below `/demo/`; '' for the page */
  async answer(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    if (name === 'coins') {
      await readBody(request, coinsBodyBytesLimit);
      const answer = await this.#coins.handle(request.method, request.headers.authorization);
      sendJson(response, answer.status, { message: answer.message });
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      sendJson(response, 405, { message: 'use GET' });
    } else if (name === 'config.json') {
      const { streamId } = this.#options;
      sendJson(response, 200, { anonKey: this.#anonKey, streamId }, { 'Cache-Control': 'no-store' });
    } else await this.#file(response, name === '' ? 'index.html' : name);
  }

  async #file(response: ServerResponse, name: string): Promise<void> {
    const contentType = contentTypes[path.extname(name)];
    // a name, not a path: nothing outside of the folder has one
    const isName = /^[\w][\w.-]*$/.test(name);
    const text =
      contentType !== undefined && isName
        ? await readFile(path.join(this.#options.dir, name), 'utf8').catch(() => undefined)
        : undefined;
    if (text === undefined || contentType === undefined) {
      sendJson(response, 404, { message: `the demo has no ${name}` });
      return;
    }
    const headers = {
      'Content-Type': contentType,
      'Content-Security-Policy': contentSecurityPolicy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      // a new build has the same names
      'Cache-Control': 'no-cache',
    };
    send(response, 200, headers, text);
  }
}
