import { decodeJwt } from 'jose';
import type { Target } from '../../config/target.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import type { TokenAnswer } from '../../target/livekit/token-endpoint.ts';
import { inspectToken } from '../../target/livekit/token-inspection.ts';
import type { Allowance, TokenCase } from './hostile-cases.ts';

/** What became of one case. `untested`: nobody answered, so nothing is known. */
export type CaseResult =
  | { readonly verdict: 'held'; readonly answer: string }
  | { readonly verdict: 'failed'; readonly answer: string; readonly why: readonly string[] }
  | { readonly verdict: 'untested'; readonly answer: string };

/** The policy gives 60 s; anything longer only helps whoever finds a token. */
const lifetimeLimitS = 60;

const allowedClaims = new Set([
  'iss',
  'sub',
  'name',
  'iat',
  'nbf',
  'exp',
  'jti',
  'video',
  'attributes',
  'metadata',
]);
const allowedGrants = new Set([
  ...['roomJoin', 'room', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata'],
  'canPublishSources',
]);

/** Claims that identify a participant to others; they must not depend on what was asked. */
const describingClaims = ['name', 'attributes', 'metadata'] as const;

/**
 * Judges an answer of the endpoint against what the case allows.
 * @param honest claims of the token the same user got when asking honestly, by user id
 */
export async function judgeAnswer(
  testCase: TokenCase,
  answer: TokenAnswer,
  target: Pick<Target, 'livekit'>,
  honest: Map<string, Record<string, unknown>>,
  nowMs: number,
): Promise<CaseResult> {
  const { expect } = testCase;
  if (answer.token === null) return judgeRefusal(expect.kind, answer);
  const said = `${answer.status} with a token`;
  if (expect.kind === 'refused') return { verdict: 'failed', answer: said, why: ['a token was given'] };
  const why = await excessesOf(answer.token, expect.allow, target, honest, nowMs);
  return why.length === 0 ? { verdict: 'held', answer: said } : { verdict: 'failed', answer: said, why };
}

function judgeRefusal(expected: TokenCase['expect']['kind'], answer: TokenAnswer): CaseResult {
  const said = `${answer.status} ${answer.problem ?? ''}`.trim();
  if (answer.status === 0) return { verdict: 'untested', answer: said };
  if (expected === 'token')
    return { verdict: 'failed', answer: said, why: ['an honest request got no token'] };
  // a 5xx gave no token either, but by accident: the request got somewhere it should not have
  const refused = answer.status >= 400 && answer.status < 500;
  return refused
    ? { verdict: 'held', answer: said }
    : { verdict: 'failed', answer: said, why: [`answered ${answer.status} instead of refusing`] };
}

/** Everything a token grants, or leaves open, beyond what is allowed. */
async function excessesOf(
  token: string,
  allow: Allowance,
  { livekit }: Pick<Target, 'livekit'>,
  honest: Map<string, Record<string, unknown>>,
  nowMs: number,
): Promise<string[]> {
  const keys = livekit === undefined ? {} : { apiKey: livekit.apiKey, apiSecret: livekit.apiSecret };
  let inspection: Awaited<ReturnType<typeof inspectToken>>;
  try {
    inspection = await inspectToken(token, { nowMs, ...keys });
  } catch (error) {
    if (error instanceof TrollfixError) return [error.message];
    throw error;
  }
  const claims: Record<string, unknown> = decodeJwt(token);
  const { identity, room, lifetimeSeconds, grants } = inspection;
  const why = inspection.findings.filter(({ level }) => level !== 'note').map(({ text }) => text);
  if (identity !== allow.user.id) why.push(`the identity is ${identity}, not the caller`);
  if (room !== allow.room) why.push(`the room is ${room}, not the stream's`);
  if (lifetimeSeconds !== null && lifetimeSeconds > lifetimeLimitS) why.push(`it lives ${lifetimeSeconds} s`);
  if (grants.roomJoin !== true) why.push('it does not let its holder join');
  if (grants.canPublish !== allow.canPublish) why.push(`canPublish is ${String(grants.canPublish)}`);
  if (grants.canPublishData === true && !allow.canPublish) why.push('canPublishData is true');
  if (grants.canUpdateOwnMetadata !== false) why.push('canUpdateOwnMetadata is not false');
  why.push(
    ...Object.keys(claims)
      .filter((claim) => !allowedClaims.has(claim))
      .map((claim) => `claim ${claim}`),
  );
  why.push(
    ...Object.keys(grants)
      .filter((grant) => !allowedGrants.has(grant))
      .map((grant) => `grant ${grant}`),
  );
  why.push(...changedDescription(claims, allow, honest));
  return [...new Set(why)];
}

function changedDescription(
  claims: Record<string, unknown>,
  allow: Allowance,
  honest: Map<string, Record<string, unknown>>,
): string[] {
  const key = `${allow.user.id} ${allow.room}`;
  const before = honest.get(key);
  if (before === undefined) {
    honest.set(key, claims);
    return [];
  }
  return describingClaims
    .filter((claim) => JSON.stringify(claims[claim]) !== JSON.stringify(before[claim]))
    .map((claim) => `${claim} is not what an honest request gets`);
}
