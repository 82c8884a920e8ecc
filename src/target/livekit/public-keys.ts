import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { isObject } from '../../kernel/json-object.ts';

/** A key set is a small static file; who takes longer is asked in vain. */
const deadlineMs = 5_000;

/** Projects publish one key or two while they rotate; more would only repeat the same questions. */
const keysLimit = 4;

/**
 * The public keys of a JWKS, as far as Node can read them.
 * @returns null when there is no key set at that address
 */
export async function fetchPublicKeys(url: string): Promise<Array<Record<string, unknown>> | null> {
  let answer: unknown;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(deadlineMs), redirect: 'error' });
    const text = await response.text();
    if (!response.ok) return null;
    answer = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(answer) || !Array.isArray(answer.keys)) return null;
  return answer.keys.filter(isObject).filter(isReadable).slice(0, keysLimit);
}

function isReadable(jwk: Record<string, unknown>): boolean {
  try {
    // whatever it holds, Node says whether it is a key
    createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}
