import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { isObject } from '../../kernel/json-object.ts';

/** Somebody who asks for a token. */
export interface Asker {
  /** Who they are in the words of their session: the `sub` of the JWT, or null where that cannot be read. */
  readonly id: string | null;
  /** The JWT of their session; null for an endpoint that asks for none. */
  readonly jwt: string | null;
}

/** The parts that people play in the table; an attack on somebody else's endpoint may have only one of them. */
export const parts = ['viewer', 'speaker', 'listener', 'downgraded', 'expired', 'banned'] as const;
export type Part = (typeof parts)[number];

/** The people and places the table needs. What is null or missing leaves the cases that need it inconclusive. */
export interface Scene {
  /** The room that is asked for, by the name the endpoint knows it by. */
  readonly stream: string;
  readonly otherStream: string | null;
  /** One that is over: nobody gets a token for it. */
  readonly endedStream: string | null;
  /** Sent with every request where the platform's gateway wants one. */
  readonly apiKey: string | null;
  readonly serviceRoleKey: string | null;
  /** To sign what only the project itself could: expired sessions, other roles, other audiences. */
  readonly jwtSecret: string | null;
  /** Public keys that sessions are verified with, as JWK; empty: it publishes none; null: not known. */
  readonly publicKeys: ReadonlyArray<Record<string, unknown>> | null;
  /**
   * viewer: may watch. speaker: may publish. listener: an active seat that may not publish. downgraded: had a seat that
   * may, and lost that right. expired: had a seat whose time is over. banned: may not enter.
   */
  readonly people: Readonly<Partial<Record<Part, Asker>>>;
  /**
   * True for the app's own rules: the identity is the user, the room is the stream, honest requests get a token and
   * everything else a 4xx. False for an endpoint nobody here wrote: what honest requests get is the measure.
   */
  readonly strict: boolean;
  readonly maxTtlS: number;
  readonly nowS: number;
}

/** Keys of the attacker's own, to sign with where only the endpoint's own keys should count. */
export interface ForgersKeys {
  readonly privateKey: KeyObject;
  readonly publicJwk: Record<string, unknown>;
}

let made: Promise<ForgersKeys> | undefined;

/** An RSA key that nobody else knows: what an attacker makes at home, once for all attacks of this process. */
export function forgersKeys(): Promise<ForgersKeys> {
  made ??= makeKeys();
  return made;
}

async function makeKeys(): Promise<ForgersKeys> {
  // 2048 bits: the least that JWT libraries take
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return { privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' } };
}

/** Who a session speaks for: a JWT says it itself. */
export function askerOf(jwt: string): Asker {
  const sub = claimsOf(jwt)?.sub;
  return { id: typeof sub === 'string' ? sub : null, jwt };
}

/** The claims of a JWT, unverified; null for anything else. */
export function claimsOf(jwt: string): Record<string, unknown> | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return isObject(claims) ? claims : null;
  } catch {
    return null;
  }
}
