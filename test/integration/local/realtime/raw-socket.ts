import { WebSocket } from 'ws';
import { pollUntil } from '../../../../src/kernel/deadline.ts';

export interface RawMessage {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  // what the server sends is asserted on by the tests
  readonly payload: Record<string, unknown>;
}

/** A bare vsn 2.0.0 client: sees every frame, sends whatever it is told to. */
export class RawSocket {
  readonly ws: WebSocket;
  readonly messages: RawMessage[] = [];
  readonly binary: Buffer[] = [];
  closeCode: number | null = null;
  #nextRef = 1;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('error', () => {}); // the close that follows says it
    ws.on('close', (code) => {
      this.closeCode = code;
    });
    ws.on('message', (data, isBinary) => {
      // binaryType is 'nodebuffer'
      const bytes = data as Buffer;
      if (isBinary) this.binary.push(bytes);
      else {
        const [joinRef, ref, topic, event, payload] = JSON.parse(bytes.toString()) as never[];
        this.messages.push({ joinRef, ref, topic, event, payload } as unknown as RawMessage);
      }
    });
  }

  /** @throws the HTTP status and body of a refused connect, as text */
  static async open(wsUrl: string, apiKey: string | null, query = '&vsn=2.0.0'): Promise<RawSocket> {
    const key = apiKey === null ? '' : `apikey=${encodeURIComponent(apiKey)}`;
    const ws = new WebSocket(`${wsUrl}?${key}${query}`, { perMessageDeflate: false });
    const socket = new RawSocket(ws);
    await new Promise<void>((resolve, reject) => {
      ws.once('open', resolve);
      ws.once('unexpected-response', (_req, res) => {
        let body = '';
        res.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        res.on('end', () => reject(new Error(`${res.statusCode} ${body}`)));
      });
    });
    return socket;
  }

  send(topic: string, event: string, payload: unknown): string {
    const ref = String(this.#nextRef++);
    this.ws.send(JSON.stringify([ref, ref, topic, event, payload]));
    return ref;
  }

  async call(topic: string, event: string, payload: unknown): Promise<RawMessage> {
    const ref = this.send(topic, event, payload);
    return this.wait((m) => m.event === 'phx_reply' && m.ref === ref, `reply to ${event} on ${topic}`);
  }

  /** Joins; gives the status and response of the reply. */
  async join(topic: string, config: unknown = {}, accessToken?: string): Promise<Record<string, unknown>> {
    const token = accessToken ? { access_token: accessToken } : {};
    return (await this.call(`realtime:${topic}`, 'phx_join', { config, ...token })).payload;
  }

  wait(matches: (message: RawMessage) => boolean, what: string, ms = 10_000): Promise<RawMessage> {
    return pollUntil(() => this.messages.find(matches), { ms, everyMs: 5, what });
  }

  waitClosed(): Promise<number> {
    return pollUntil(() => this.closeCode ?? undefined, { ms: 10_000, everyMs: 5, what: 'close' });
  }

  /** Messages `system` of a channel. */
  systems(topic: string): string[] {
    return this.messages
      .filter((m) => m.topic === `realtime:${topic}` && m.event === 'system')
      .map((m) => `${m.payload.status}: ${m.payload.message}`);
  }

  close(): void {
    this.ws.terminate();
  }
}
