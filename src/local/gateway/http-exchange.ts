import type { IncomingMessage, ServerResponse } from 'node:http';

/** A request that is refused before its handler sees it. */
export class HttpRefusal extends Error {
  override readonly name = 'HttpRefusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Reads a body as UTF-8 text.
 * @throws HttpRefusal 413 above the limit, 400 for bad UTF-8 or a client that goes away
 */
export async function readBody(request: IncomingMessage, bytesLimit: number): Promise<string> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > bytesLimit) throw tooLarge(bytesLimit);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // without an encoding set, a request gives Buffers
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesLimit) throw tooLarge(bytesLimit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof HttpRefusal) throw error;
    throw new HttpRefusal(400, 'the request body was cut off');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new HttpRefusal(400, 'the request body is not valid UTF-8');
  }
}

function tooLarge(bytesLimit: number): HttpRefusal {
  return new HttpRefusal(413, `the request body is larger than ${bytesLimit} bytes`);
}

/** Answers and, when the body of the request was not read to its end, closes the connection: the rest would be read as a request. */
export function send(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): void {
  if (response.headersSent || response.destroyed) return;
  const isBodiless = status === 204 || status === 304;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!response.req.complete) response.setHeader('Connection', 'close');
  if (!isBodiless && response.req.method !== 'HEAD') {
    response.setHeader('Content-Length', Buffer.byteLength(body));
  }
  response.statusCode = status;
  response.end(isBodiless || response.req.method === 'HEAD' ? undefined : body);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(
    response,
    status,
    { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    JSON.stringify(value),
  );
}

/**
 * The hosted gateway answers every origin: what protects a project is keys and row security, not the origin.
 * @returns true when the request was a preflight and is answered
 */
export function applyCors(request: IncomingMessage, response: ServerResponse): boolean {
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Vary', 'Origin');
  response.setHeader(
    'Access-Control-Expose-Headers',
    'Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Preference-Applied, X-Total-Count, Link, X-Supabase-Api-Version',
  );
  if (request.method !== 'OPTIONS') return false;
  response.setHeader('Access-Control-Allow-Methods', 'GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS');
  const asked = request.headers['access-control-request-headers'];
  response.setHeader(
    'Access-Control-Allow-Headers',
    asked ?? 'authorization, x-client-info, apikey, content-type',
  );
  response.setHeader('Access-Control-Max-Age', '86400');
  send(response, 204, {}, '');
  return true;
}
