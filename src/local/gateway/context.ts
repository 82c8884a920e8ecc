import type { Logger } from '../../kernel/log.ts';

/** The verified claims of a JWT, or those an API key stands for. */
export interface Claims {
  readonly role: 'anon' | 'authenticated' | 'service_role' | (string & {});
  readonly sub?: string;
  readonly exp?: number;
  readonly [claim: string]: unknown;
}

/** Why a key or token was refused: the hosted service's status and words. */
export class AuthRefusal extends Error {
  override readonly name = 'AuthRefusal';
  readonly status: 401 | 403;
  /** PostgREST's code for it: PGRST301, PGRST302, PGRST303. */
  readonly pgrstCode: string;

  constructor(status: 401 | 403, pgrstCode: string, message: string) {
    super(message);
    this.status = status;
    this.pgrstCode = pgrstCode;
  }
}

/** Verifies what clients present. HS256 only: `alg` is pinned, never read from the token. */
export interface Authenticator {
  /** A JWT (legacy anon/service keys included). @throws AuthRefusal */
  verifyJwt(token: string): Promise<Claims>;
  /** What stands in `apikey`: a legacy JWT, `sb_publishable_…` or `sb_secret_…`. @throws AuthRefusal */
  resolveApiKey(apiKey: string): Promise<Claims>;
}

/** Realtime's quotas as the hosted plans set them. */
export interface QuotaProfile {
  readonly name: string;
  readonly connections: number;
  readonly messagesPerS: number;
  readonly joinsPerS: number;
  readonly channelsPerConnection: number;
  readonly presencePerS: number;
  readonly presenceCallsPerClient30S: number;
  readonly presenceKeysPerObject: number;
  readonly broadcastPayloadKb: number;
}

/** What Realtime gets of the gateway. */
export interface RealtimeContext {
  /** As the superuser: Realtime opens its own connections, so that a storm of joins holds up nobody else. */
  readonly adminUrl: string;
  readonly auth: Authenticator;
  /** null: no quota is enforced. */
  readonly quota: QuotaProfile | null;
  readonly log: Logger;
}
