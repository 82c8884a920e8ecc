import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { decideToken, type LiveKitClaims, liveKitClaims, type TokenContext } from '../app/token-policy.ts';
import type { Target } from '../config/target.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { signLiveKitToken } from '../target/livekit/mint.ts';
import { databaseError } from '../target/postgres/pool.ts';
import { tokenContextSql } from './tokens.sql.ts';

export interface MintedToken {
  readonly token: string;
  readonly claims: LiveKitClaims;
}

/**
 * The token that the endpoint would give this user for this stream now: the same policy over the same rows.
 * @throws TF-TOK-002 when it would give none
 */
export async function mintSeatToken(
  database: pg.Pool,
  livekit: NonNullable<Target['livekit']>,
  seat: { readonly streamId: string; readonly userId: string; readonly nowMs: number },
): Promise<MintedToken> {
  const context = await tokenContext(database, seat.streamId, seat.userId);
  const decision = decideToken({
    claims: { role: 'authenticated', sub: seat.userId },
    request: { streamId: seat.streamId },
    context,
    nowMs: seat.nowMs,
  });
  if (!decision.allow) {
    throw new TrollfixError('TF-TOK-002', `the policy refuses: ${decision.message}`, {
      why: `${decision.code}: the endpoint answers ${decision.status}`,
      ...(decision.code === 'banned' ? { hint: 'lift the ban: `trollfix seat restore`' } : {}),
    });
  }
  const claims = liveKitClaims(decision, livekit.apiKey, seat.nowMs / 1000, randomUUID());
  return { token: await signLiveKitToken({ ...claims }, livekit.apiSecret), claims };
}

async function tokenContext(database: pg.Pool, streamId: string, userId: string): Promise<TokenContext> {
  try {
    const { rows } = await database.query<{ context: TokenContext }>(tokenContextSql, [streamId, userId]);
    const [row] = rows;
    if (row === undefined) throw new Error('livekit_token_context gave no row');
    return row.context;
  } catch (error) {
    throw databaseError(error);
  }
}
