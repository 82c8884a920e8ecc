import { type JWTPayload, SignJWT } from 'jose';
import type { Secret } from '../../kernel/redact.ts';

/** Signs a LiveKit JWT with exactly this payload; what may stand in it is the token policy's business. */
export function signLiveKitToken(payload: JWTPayload, apiSecret: Secret): Promise<string> {
  return new SignJWT(payload)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode(apiSecret.reveal()));
}
