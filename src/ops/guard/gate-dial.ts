import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { answerSocket } from './gate-answer.ts';
import type { GateLimits } from './gate-limits.ts';
import { answerHeaders, upgradeHeaders } from './gate-request.ts';
import { resetSocket, type Session, tieSockets } from './gate-session.ts';
import { requestUpstream, type Upstream, upstreamFailure } from './gate-upstream.ts';

/** What became of an upgrade that was passed on. */
export type DialOutcome =
  | { readonly kind: 'open'; readonly session: Session }
  /** LiveKit did not want it, and the client has its answer. */
  | { readonly kind: 'refused' }
  /** LiveKit could not be reached or did not answer, and the client has been told. */
  | { readonly kind: 'failed'; readonly status: 502 | 504 }
  /** By now the client may not come in, and has been told. */
  | { readonly kind: 'late'; readonly status: number }
  | { readonly kind: 'gone' };

type Answer =
  | {
      readonly kind: 'upgrade';
      readonly answer: IncomingMessage;
      readonly socket: Socket;
      readonly head: Buffer;
    }
  | { readonly kind: 'response'; readonly answer: IncomingMessage }
  | { readonly kind: 'error'; readonly error: Error };

/**
 * Opens a client's WebSocket at LiveKit and ties the two together. LiveKit itself answers the handshake: what it says
 * is what the client gets.
 *
 * @param knock.again asked once more when LiveKit has agreed, as a ban may have come meanwhile
 */
export async function openSession(knock: {
  readonly request: IncomingMessage;
  readonly client: Socket;
  /** What the client sent behind its request without waiting for the answer. */
  readonly head: Buffer;
  readonly upstream: Upstream;
  readonly target: string;
  readonly token: string;
  readonly limits: GateLimits;
  readonly again: () => { readonly status: number; readonly message: string } | null;
}): Promise<DialOutcome> {
  const { request, client, upstream, target, limits } = knock;
  const headers = upgradeHeaders(request, knock.token);
  const outgoing = requestUpstream(upstream, { method: 'GET', target, headers }, limits);
  const hangUp = () => outgoing.destroy();
  client.once('close', hangUp);
  outgoing.end();
  const answer = await new Promise<Answer>((resolve) => {
    outgoing.on('upgrade', (answer, socket: Socket, head) => {
      resolve({ kind: 'upgrade', answer, socket, head });
    });
    outgoing.on('response', (answer) => resolve({ kind: 'response', answer }));
    outgoing.on('error', (error) => resolve({ kind: 'error', error }));
  });
  client.off('close', hangUp);
  if (client.destroyed) {
    if (answer.kind === 'upgrade') resetSocket(answer.socket);
    return { kind: 'gone' };
  }
  if (answer.kind === 'error') {
    const { status, message } = upstreamFailure(answer.error);
    answerSocket(client, status, message);
    return { kind: 'failed', status };
  }
  if (answer.kind === 'response') {
    passRefusalOn(answer.answer, client, limits.answerMs);
    return { kind: 'refused' };
  }
  const refusal = knock.again();
  if (refusal !== null) {
    answer.socket.on('error', () => {});
    resetSocket(answer.socket);
    answerSocket(client, refusal.status, refusal.message);
    return { kind: 'late', status: refusal.status };
  }
  client.write(headText(answer.answer, ['Connection', 'Upgrade', 'Upgrade', 'websocket']));
  const early = { fromClient: knock.head, fromUpstream: answer.head };
  return { kind: 'open', session: tieSockets(client, answer.socket, early, limits.halfOpenMs) };
}

/** LiveKit's own refusal, as it came. The connection ends with it, or when it is not over in time. */
function passRefusalOn(answer: IncomingMessage, client: Socket, withinMs: number): void {
  client.write(headText(answer, ['Connection', 'close']));
  answer.on('error', () => client.destroy());
  answer.pipe(client);
  client.once('finish', () => client.destroySoon());
  const late = setTimeout(() => client.destroy(), withinMs);
  client.once('close', () => {
    clearTimeout(late);
    answer.destroy();
  });
}

function headText(answer: IncomingMessage, own: readonly string[]): string {
  const fields = [...answerHeaders(answer), ...own];
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
