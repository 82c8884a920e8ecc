import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import type { AuthHandler } from './auth/auth-handler.ts';
import type { KeyAuthenticator } from './authenticator.ts';
import { AuthRefusal } from './context.ts';
import { admitApiKey, credentialsOf, KeyRefusal, restClaims } from './credentials.ts';
import type { DemoSite } from './demo-site.ts';
import type { LiveKitTokenFunction } from './functions/livekit-token.ts';
import { HttpRefusal, readBody, send, sendJson } from './http-exchange.ts';
import type { Realtime } from './realtime/realtime.ts';
import { RestError } from './rest/rest-error.ts';
import type { RestHandler } from './rest/rest-handler.ts';

/** Bulk inserts of some ten thousand rows; what is larger belongs into COPY. */
const restBodyBytesLimit = 10 * 1024 * 1024;
/** Credentials and metadata. */
const authBodyBytesLimit = 256 * 1024;
/** The token function reads the id of a stream. */
const functionBodyBytesLimit = 16 * 1024;

interface Parts {
  readonly auth: KeyAuthenticator;
  readonly log: Logger;
  readonly realtime: Realtime;
  readonly rest: RestHandler;
  readonly users: AuthHandler;
  readonly liveKitToken: LiveKitTokenFunction;
  /** null: there is no demo page. */
  readonly demo: DemoSite | null;
}

/** Sends every request to its service, behind the API key check the hosted gateway makes. */
export class Router {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Answers; throws only for a bug. */
  async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '/', query = ''] = splitOnce(request.url ?? '/', '?');
    try {
      await this.#dispatch(request, response, path, query);
    } catch (error) {
      if (error instanceof HttpRefusal) {
        sendJson(response, error.status, { message: error.message });
      } else if (error instanceof KeyRefusal) {
        sendJson(response, 401, { message: error.message, hint: error.hint });
      } else throw error;
    }
  }

  async #dispatch(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
  ): Promise<void> {
    if (path === '/health') sendJson(response, 200, { status: 'ok' });
    else if (path === '/rest/v1' || path.startsWith('/rest/v1/')) {
      await this.#rest(request, response, path.slice('/rest/v1/'.length), query);
    } else if (path.startsWith('/auth/v1/')) {
      await this.#auth(request, response, path.slice('/auth/v1'.length), query);
    } else if (path.startsWith('/realtime/v1/')) {
      if (!this.#parts.realtime.handleHttp(request, response)) notFound(response);
    } else if (path.startsWith('/functions/v1/')) {
      await this.#function(request, response, path.slice('/functions/v1/'.length));
    } else if (path === '/demo' && this.#parts.demo !== null) {
      // relative addresses in the page need the slash
      send(response, 308, { Location: '/demo/' }, '');
    } else if (path.startsWith('/demo/') && this.#parts.demo !== null) {
      await this.#parts.demo.answer(request, response, path.slice('/demo/'.length));
    } else notFound(response);
  }

  async #rest(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
  ): Promise<void> {
    const { auth, rest } = this.#parts;
    const credentials = credentialsOf(request.headers, query, auth);
    await admitApiKey(credentials.apiKey, request.headers, auth);
    const body = await readBody(request, restBodyBytesLimit);
    try {
      const claims = await restClaims(credentials, auth);
      const { method = 'GET', headers } = request;
      const answer = await rest.handle({ method, path, query, headers, body, claims });
      send(response, answer.status, answer.headers, answer.body);
    } catch (error) {
      if (error instanceof AuthRefusal) {
        const { status, pgrstCode, message } = error;
        sendJson(
          response,
          status,
          { code: pgrstCode, details: null, hint: null, message },
          {
            'WWW-Authenticate': `Bearer error="invalid_token", error_description="${message.replaceAll('"', "'")}"`,
          },
        );
      } else if (error instanceof RestError) {
        send(
          response,
          error.status,
          { 'Content-Type': 'application/json; charset=utf-8', ...error.headers },
          error.body(),
        );
      } else throw error;
    }
  }

  async #auth(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: string,
  ): Promise<void> {
    const { auth, users } = this.#parts;
    const credentials = credentialsOf(request.headers, query, auth);
    if (!users.isOpen(path)) await admitApiKey(credentials.apiKey, request.headers, auth);
    const body = await readBody(request, authBodyBytesLimit);
    const { method = 'GET', headers } = request;
    const answer = await users.handle({ method, path, query, headers, body, token: credentials.token });
    if (answer.body === undefined) send(response, answer.status, answer.headers, '');
    else sendJson(response, answer.status, answer.body, answer.headers);
  }

  async #function(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    if (name !== 'livekit-token') {
      sendJson(response, 404, { code: 'NOT_FOUND', message: 'Requested function was not found' });
      return;
    }
    const body = await readBody(request, functionBodyBytesLimit);
    try {
      const { method = 'GET', headers } = request;
      const answer = await this.#parts.liveKitToken.handle({ method, headers, body });
      sendJson(response, answer.status, answer.body);
    } catch (error) {
      this.#parts.log.error('livekit-token failed', { error: messageOf(error) });
      sendJson(response, 500, { code: 'internal', message: 'the token could not be made' });
    }
  }
}

function notFound(response: ServerResponse): void {
  sendJson(response, 404, { message: 'no Route matched with those values' });
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
