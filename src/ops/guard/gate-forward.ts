import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerRequest } from './gate-answer.ts';
import type { GateLimits } from './gate-limits.ts';
import { answerHeaders, onwardHeaders } from './gate-request.ts';
import { requestUpstream, type Upstream, upstreamFailure } from './gate-upstream.ts';

/**
 * Passes one HTTP request on to LiveKit and its answer back, both as they come and no faster than they are read.
 * @param token the token that was judged, null where none is needed
 * @returns the status that the client got; 0 when it went away first
 */
export function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  onward: {
    readonly upstream: Upstream;
    readonly target: string;
    readonly token: string | null;
    readonly limits: GateLimits;
  },
): Promise<number> {
  const { upstream, target, token, limits } = onward;
  const length = request.headers['content-length'];
  if (Number(length ?? 0) > limits.bodyBytes) {
    answerRequest(response, 413, tooLarge);
    return Promise.resolve(413);
  }
  const client = request.socket;
  // gone while it was being decided on: nothing would tell of that any more
  if (client.destroyed) return Promise.resolve(0);
  const headers = {
    ...onwardHeaders(request, token),
    ...(length === undefined ? {} : { 'content-length': length }),
  };
  const passedOn = { method: request.method ?? 'GET', target, headers, body: request };
  const outgoing = requestUpstream(upstream, passedOn, limits);
  return new Promise((resolve) => {
    let over = false;
    let late: NodeJS.Timeout | undefined;
    const end = (status: number) => {
      if (over) return;
      over = true;
      clearTimeout(late);
      client.off('close', goneAway);
      outgoing.destroy();
      resolve(status);
    };
    const goneAway = () => end(0);
    const refuse = (status: number, message: string) => {
      if (over) return;
      // an answer that has begun is broken off by this
      answerRequest(response, status, message);
      end(status);
    };
    // the socket and not the response: that one hears nothing any more when an upgrade was pipelined behind it
    client.once('close', goneAway);
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.bodyBytes) refuse(413, tooLarge);
    });
    outgoing.on('error', (error) => {
      const { status, message } = upstreamFailure(error);
      refuse(status, message);
    });
    outgoing.on('response', (answer) => {
      const status = answer.statusCode ?? 502;
      response.writeHead(status, answerHeaders(answer));
      answer.pipe(response);
      late = setTimeout(() => {
        response.destroy();
        // all of it is here: then it is the client that does not read
        end(answer.complete ? 0 : 504);
      }, limits.answerMs);
      answer.on('error', () => response.destroy());
      response.once('finish', () => end(status));
      response.once('close', goneAway);
    });
  });
}

const tooLarge = 'the body is too large';
