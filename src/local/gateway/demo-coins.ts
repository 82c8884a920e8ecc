import { createHash } from 'node:crypto';
import type { KeyAuthenticator } from './authenticator.ts';
import { AuthRefusal } from './context.ts';
import { bearerOf } from './credentials.ts';
import { RestError } from './rest/rest-error.ts';
import type { RestHandler } from './rest/rest-handler.ts';

/** One of everything in the catalogue, and some change. */
const coins = 1500;

interface CoinsAnswer {
  readonly status: number;
  /** For the page to show. */
  readonly message: string;
}

/**
 * Gives a demo user coins to spend, once: the deposit's id follows from the user's, so asking again is the same
 * deposit. A shop would do this after a payment; the books balance all the same, as it is a deposit like any other.
 */
export class DemoCoins {
  readonly #auth: KeyAuthenticator;
  readonly #rest: RestHandler;

  constructor(auth: KeyAuthenticator, rest: RestHandler) {
    this.#auth = auth;
    this.#rest = rest;
  }

  async handle(method: string | undefined, authorization: string | undefined): Promise<CoinsAnswer> {
    if (method !== 'POST') return { status: 405, message: 'use POST' };
    const userId = await this.#caller(authorization);
    if (userId === null) return { status: 401, message: 'sign in first' };
    const id = depositId(userId);
    try {
      const hadThem = await this.#isThere(id);
      await this.#rest.handle({
        method: 'POST',
        path: 'rpc/deposit_coins',
        query: '',
        headers: {},
        body: JSON.stringify({
          p_deposit_id: id,
          p_user_id: userId,
          p_amount: coins,
          p_reason: 'demo coins',
        }),
        claims: { role: 'service_role' },
      });
      return { status: 200, message: hadThem ? 'You have had your demo coins.' : `Here are ${coins} coins.` };
    } catch (error) {
      if (error instanceof RestError) return { status: error.status, message: error.message };
      throw error;
    }
  }

  async #caller(authorization: string | undefined): Promise<string | null> {
    const token = bearerOf(authorization);
    if (token === undefined) return null;
    try {
      const { role, sub } = await this.#auth.verifyJwt(token);
      return role === 'authenticated' && typeof sub === 'string' ? sub : null;
    } catch (error) {
      if (error instanceof AuthRefusal) return null;
      throw error;
    }
  }

  /** @throws RestError */
  async #isThere(deposit: string): Promise<boolean> {
    const answer = await this.#rest.handle({
      method: 'GET',
      path: 'wallet_deposits',
      query: `select=id&id=eq.${deposit}`,
      headers: {},
      body: '',
      claims: { role: 'service_role' },
    });
    const rows: unknown = JSON.parse(answer.body);
    return Array.isArray(rows) && rows.length > 0;
  }
}

/** A UUID of version 8 (RFC 9562: custom), which only this user has. */
function depositId(userId: string): string {
  const hex = createHash('sha256').update(`trollfix demo coins ${userId}`).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
