import { randomBytes } from 'node:crypto';
import { redact } from '../../kernel/redact.ts';
import { classifyLiveKitError } from './livekit-error.ts';

/** What the WHIP door answered. `admitted` means a session was created: whoever holds the token is in the room. */
export type WhipOutcome =
  | { readonly kind: 'admitted'; readonly status: number; readonly leave: () => Promise<void> }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

/** As for the signal doors: an answer later than this is none. */
const answerDeadlineMs = 5_000;

/**
 * Knocks at `POST /whip/v1` with a token. The offer is a whole one (one Opus track to be sent) but nobody stands
 * behind it: no media flows, the server drops the session by itself when ICE does not connect.
 */
export async function enterByWhip(url: string, token: string): Promise<WhipOutcome> {
  const base = url.replace(/^ws/, 'http');
  const authorization = `Bearer ${token}`;
  let response: Response;
  try {
    response = await fetch(new URL('/whip/v1', base), {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/sdp' },
      body: audioOffer(),
      signal: AbortSignal.timeout(answerDeadlineMs),
    });
  } catch (error) {
    return { kind: 'unreachable', message: classifyLiveKitError(error).message };
  }
  const text = await response.text();
  if (response.status !== 201) {
    return { kind: 'refused', status: response.status, message: redact(text.trim().slice(0, 500)) };
  }
  const resource = response.headers.get('location');
  return {
    kind: 'admitted',
    status: response.status,
    async leave() {
      if (resource === null) return;
      const gone = await fetch(new URL(resource, base), {
        method: 'DELETE',
        headers: { authorization },
        signal: AbortSignal.timeout(answerDeadlineMs),
      });
      await gone.body?.cancel();
    },
  };
}

/** A valid offer to send one Opus track (RFC 8866, RFC 9725) with made-up ICE and DTLS credentials. */
function audioOffer(): string {
  const fingerprint = [...randomBytes(32)].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase());
  const lines = [
    'v=0',
    `o=- ${randomBytes(6).readUIntBE(0, 6)} 2 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=group:BUNDLE 0',
    'a=msid-semantic: WMS door',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    `a=ice-ufrag:${randomBytes(4).toString('hex')}`,
    `a=ice-pwd:${randomBytes(16).toString('hex')}`,
    `a=fingerprint:sha-256 ${fingerprint.join(':')}`,
    'a=setup:actpass',
    'a=mid:0',
    'a=sendonly',
    'a=msid:door audio',
    'a=rtcp-mux',
    'a=rtpmap:111 opus/48000/2',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'a=ssrc:1111 cname:door',
  ];
  return `${lines.join('\r\n')}\r\n`;
}
