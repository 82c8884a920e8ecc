import { systemClock } from '../../../../src/kernel/clock.ts';
import type { Logger } from '../../../../src/kernel/log.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import { type Gate, type GateDecision, type GateOptions, startGate } from '../../../../src/ops/guard/gate.ts';
import { signLiveKitToken } from '../../../../src/target/livekit/mint.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';
import { type StillTable, stillTable } from './still-table.ts';

const apiSecret = new Secret('secret-of-the-front-0123456789abcdef');
export const user = '0d5f2b7e-3f57-4c8a-9f0e-0a1b2c3d4e5f';
export const stream = 'a2c4e6f8-1b3d-4f5a-8c7e-9d0b1a2c3e4f';

/** A gate between a table and an upstream that the test holds in its hands. */
export interface GateFront extends AsyncDisposable {
  readonly gate: Gate;
  readonly port: number;
  readonly upstream: EchoUpstream;
  readonly table: StillTable;
  readonly decisions: GateDecision[];
  /** Everything that was logged, as JSON. */
  readonly logged: () => string;
  /** Of a speaker with a seat. */
  readonly token: string;
}

export async function startFront(options: Partial<GateOptions> = {}): Promise<GateFront> {
  const upstream = await startEchoUpstream();
  const table = stillTable();
  const decisions: GateDecision[] = [];
  const lines: string[] = [];
  const write = (message: string, fields?: Record<string, unknown>) => {
    lines.push(JSON.stringify({ message, fields }));
  };
  const log: Logger = { debug: write, info: write, warn: write, error: write };
  const gate = await startGate({
    listen: { host: '127.0.0.1', port: 0 },
    upstream: upstream.url,
    apiKey: 'key',
    apiSecret,
    table,
    failOpen: false,
    clock: systemClock,
    log,
    onDecision: (decision) => decisions.push(decision),
    ...options,
  });
  return {
    gate,
    port: gate.port,
    upstream,
    table,
    decisions,
    logged: () => lines.join('\n'),
    token: await tokenOf({}),
    async [Symbol.asyncDispose]() {
      await gate.stop();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** A token that is good for a minute, but for the changes. */
export function tokenOf(changes: Record<string, unknown>): Promise<string> {
  const nowS = Math.floor(Date.now() / 1000);
  const video = { roomJoin: true, room: stream, canPublish: true, canSubscribe: true, canPublishData: true };
  return signLiveKitToken({ iss: 'key', sub: user, nbf: nowS, exp: nowS + 60, video, ...changes }, apiSecret);
}
