import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../../kernel/errors.ts';
import type { RealtimeCore } from './core.ts';
import type { Vsn } from './serializer.ts';
import { TokenRefusal, type VerifiedToken, verifyApiKey } from './token.ts';

/** What an upgrade request asks for, when it may. */
export interface AcceptedUpgrade {
  readonly vsn: Vsn;
  readonly token: VerifiedToken;
}

/** Why a connect is refused: an HTTP answer instead of the upgrade. */
class UpgradeRefusal extends Error {
  override readonly name = 'UpgradeRefusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const paths = new Set(['/realtime/v1/websocket', '/realtime/v1/websocket/', '/realtime/v1/socket/websocket']);

/** Checks path, serializer, key and limits, in hosted's order. @throws UpgradeRefusal */
export async function checkUpgrade(core: RealtimeCore, req: IncomingMessage): Promise<AcceptedUpgrade> {
  const url = URL.parse(req.url ?? '/', 'http://gateway');
  if (!url) throw new UpgradeRefusal(400, 'Bad Request');
  if (!paths.has(url.pathname)) throw new UpgradeRefusal(404, 'Not Found');
  const vsn = vsnOf(url.searchParams.get('vsn'));
  const header = req.headers['x-api-key'];
  const apiKey = (typeof header === 'string' ? header : null) ?? url.searchParams.get('apikey');
  try {
    const token = await verifyApiKey(core.auth, apiKey);
    if (core.quota.connectionsExceeded(core.gauges.users)) {
      throw new UpgradeRefusal(429, 'Too many connected users');
    }
    if (core.quota.joinsExceeded) throw new UpgradeRefusal(429, 'Too many joins per second');
    return { vsn, token };
  } catch (error) {
    if (error instanceof TokenRefusal) throw new UpgradeRefusal(401, error.connectMessage);
    throw error;
  }
}

/** Phoenix: without `vsn` it is 1.0.0, and `~> 1.0.0`, `~> 2.0.0` are what the serializers accept. */
function vsnOf(text: string | null): Vsn {
  if (text === null || /^1\.0\.\d+$/.test(text)) return '1.0.0';
  if (/^2\.0\.\d+$/.test(text)) return '2.0.0';
  throw new UpgradeRefusal(400, "The client's requested transport version is not supported");
}

/** Answers an upgrade request with plain HTTP and closes. */
export function refuseUpgrade(core: RealtimeCore, socket: Duplex, error: unknown): void {
  core.counters.connectionsRefused++;
  const refusal =
    error instanceof UpgradeRefusal ? error : new UpgradeRefusal(500, 'Error connecting to Realtime');
  if (refusal !== error) core.log.error('connect failed', { message: messageOf(error) });
  if (socket.destroyed || !socket.writable) return;
  const body = JSON.stringify({ error: refusal.message });
  socket.end(
    [
      `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? 'Error'}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
