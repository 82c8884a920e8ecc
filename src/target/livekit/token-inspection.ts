import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import { TrollfixError } from '../../kernel/errors.ts';
import type { Secret } from '../../kernel/redact.ts';
import {
  abilitiesOf,
  type EffectivePermission,
  effectivePermissions,
  leewaySeconds,
} from './token-abilities.ts';

type FindingLevel = 'danger' | 'warning' | 'note';

interface TokenFinding {
  readonly level: FindingLevel;
  /** A stable name of what was found. */
  readonly rule: string;
  /** The same in words, with the values. */
  readonly text: string;
}

export interface TokenInspection {
  readonly algorithm: string;
  readonly signature: 'valid' | 'invalid' | 'not_checked';
  readonly issuer: string | null;
  readonly identity: string | null;
  readonly name: string | null;
  readonly room: string | null;
  /** ISO 8601; null when the token never expires. */
  readonly expiresAt: string | null;
  readonly notBefore: string | null;
  /** From nbf (or iat) to exp. */
  readonly lifetimeSeconds: number | null;
  readonly expired: boolean;
  /** ISO 8601: exp with the leeway of LiveKit; null when the token never expires. */
  readonly acceptedUntil: string | null;
  readonly grants: Readonly<Record<string, unknown>>;
  /** All claims as they stand in the token. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** What the grants come to, with LiveKit's defaults where the token says nothing. */
  readonly permissions: readonly EffectivePermission[];
  /** What its holder can do, in sentences. */
  readonly abilities: readonly string[];
  readonly findings: readonly TokenFinding[];
  readonly verdict: 'safe' | 'questionable' | 'dangerous';
}

/** Longer than this and a leaked, unused token is worth stealing: the policy gives 60 s. */
const longLifeSeconds = 600;
const dangerousLifeSeconds = 3_600;

/** A JWT is some 500 bytes; ten thousand are no token of LiveKit's. */
const tokenCharsLimit = 10_000;

const dangerousGrants: Readonly<Record<string, string>> = {
  roomAdmin: 'may remove, mute and change everybody in the room',
  roomCreate: 'may create rooms',
  roomList: 'may list every room',
  roomRecord: 'may start recordings',
  ingressAdmin: 'may create ingress into any room',
  hidden: 'is invisible to the others in the room',
  recorder: 'is taken for a recorder',
  agent: 'may register as an agent worker',
  canUpdateOwnMetadata: 'may write its own attributes, also while joining (`role: admin`)',
  canManageAgentSession: 'may steer agent sessions',
  destinationRoom: 'may be forwarded to another room',
};
const dangerousClaims: Readonly<Record<string, string>> = {
  roomConfig: 'configures the room: agents, egress',
  roomPreset: 'picks the configuration of the room',
  sip: 'may use telephony',
  kind: 'claims to be another kind of participant',
  inference: 'may use inference',
  observability: 'may write observability data',
};
const permissiveWhenUnset = ['canPublish', 'canSubscribe', 'canPublishData'] as const;
const knownClaims = new Set([
  ...['iss', 'sub', 'name', 'iat', 'nbf', 'exp', 'jti', 'video', 'attributes', 'metadata', 'sha256'],
  ...Object.keys(dangerousClaims),
]);
const knownGrants = new Set([
  ...['roomJoin', 'room', 'canPublishSources', 'canSubscribeMetrics', ...permissiveWhenUnset],
  ...Object.keys(dangerousGrants),
]);

/**
 * Decodes a LiveKit token and says what it lets its holder do. With the API secret the signature is checked too.
 * @throws TF-TOK-001 when it is no JWT, or not one of LiveKit's
 */
export async function inspectToken(
  token: string,
  options: { readonly nowMs: number; readonly apiKey?: string; readonly apiSecret?: Secret },
): Promise<TokenInspection> {
  const { header, claims } = decode(token.trim());
  const video = recordOf(claims.video);
  if (video === null) {
    throw new TrollfixError('TF-TOK-001', 'the JWT has no `video` grant', {
      why: `its claims are: ${Object.keys(claims).join(', ') || 'none'}`,
    });
  }
  const signature = await checkSignature(token.trim(), options.apiSecret);
  const times = timesOf(claims, options.nowMs);
  const findings = [
    ...signatureFindings(header.alg, signature, claims.iss, options.apiKey),
    ...timeFindings(times),
    ...identityFindings(textOf(claims.sub), video),
    ...grantFindings(video),
    ...claimFindings(claims),
  ];
  const room = textOf(video.room);
  return {
    algorithm: header.alg,
    signature,
    issuer: textOf(claims.iss),
    identity: textOf(claims.sub),
    name: textOf(claims.name),
    room,
    expiresAt: isoOf(times.exp),
    notBefore: isoOf(times.nbf),
    lifetimeSeconds: times.lifetimeSeconds,
    expired: times.exp !== null && times.nowS >= times.exp,
    acceptedUntil: times.exp === null ? null : isoOf(times.exp + leewaySeconds),
    grants: video,
    claims,
    permissions: effectivePermissions(video),
    abilities: abilitiesOf(video, room),
    findings,
    verdict: verdictOf(findings),
  };
}

function decode(token: string): { header: { alg: string }; claims: Record<string, unknown> } {
  try {
    if (token.length > tokenCharsLimit) throw new errors.JWTInvalid('too long');
    return { header: { alg: decodeProtectedHeader(token).alg ?? '' }, claims: decodeJwt(token) };
  } catch {
    throw new TrollfixError('TF-TOK-001', 'not a JWT', {
      why: `${token.length} characters in ${token.split('.').length} parts: a JWT has three, base64url each`,
    });
  }
}

async function checkSignature(
  token: string,
  secret: Secret | undefined,
): Promise<TokenInspection['signature']> {
  if (secret === undefined) return 'not_checked';
  try {
    // exp and nbf are judged apart, so any time will do here
    const key = new TextEncoder().encode(secret.reveal());
    await jwtVerify(token, key, { algorithms: ['HS256'], clockTolerance: Number.MAX_SAFE_INTEGER });
    return 'valid';
  } catch {
    return 'invalid';
  }
}

interface TokenTimes {
  readonly nowS: number;
  readonly exp: number | null;
  readonly nbf: number | null;
  readonly lifetimeSeconds: number | null;
}

function timesOf(claims: Record<string, unknown>, nowMs: number): TokenTimes {
  const exp = numberOf(claims.exp);
  const nbf = numberOf(claims.nbf) ?? numberOf(claims.iat);
  return { nowS: nowMs / 1000, exp, nbf, lifetimeSeconds: exp === null || nbf === null ? null : exp - nbf };
}

function signatureFindings(
  algorithm: string,
  signature: TokenInspection['signature'],
  issuer: unknown,
  apiKey: string | undefined,
): TokenFinding[] {
  const found: TokenFinding[] = [];
  if (algorithm !== 'HS256') found.push(danger('algorithm', `signed with "${algorithm}" instead of HS256`));
  if (signature === 'invalid')
    found.push(danger('signature', 'the signature is not that of the target secret'));
  if (signature === 'not_checked')
    found.push(note('signature', 'the signature was not checked: no API secret'));
  if (apiKey !== undefined && issuer !== apiKey) {
    found.push(warning('issuer', `issued by "${String(issuer)}", not by the target's API key`));
  }
  return found;
}

function timeFindings({ nowS, exp, nbf, lifetimeSeconds }: TokenTimes): TokenFinding[] {
  const found: TokenFinding[] = [];
  if (exp === null) return [danger('expiry', 'never expires: LiveKit accepts that')];
  if (lifetimeSeconds === null)
    found.push(warning('lifetime', 'says neither nbf nor iat: its age is unknown'));
  else if (lifetimeSeconds > dangerousLifeSeconds) {
    found.push(danger('lifetime', `lives ${lifetimeSeconds} s`));
  } else if (lifetimeSeconds > longLifeSeconds) found.push(warning('lifetime', `lives ${lifetimeSeconds} s`));
  if (nowS >= exp + leewaySeconds) found.push(note('expired', `expired ${Math.round(nowS - exp)} s ago`));
  else if (nowS >= exp) {
    const left = Math.round(exp + leewaySeconds - nowS);
    found.push(note('expired', `expired, but LiveKit lets it in for another ${left} s`));
  }
  if (nbf !== null && nbf > nowS + leewaySeconds) {
    found.push(note('not-yet', `not valid for another ${Math.round(nbf - nowS - leewaySeconds)} s`));
  }
  return found;
}

function identityFindings(identity: string | null, video: Record<string, unknown>): TokenFinding[] {
  const found: TokenFinding[] = [];
  if (!identity) found.push(danger('identity', 'has no identity'));
  else if (identity.includes('#')) {
    found.push(danger('identity', `"${identity}" is an alias: removing its user leaves it in the room`));
  }
  if (video.roomJoin !== true) found.push(note('join', 'does not let its holder join'));
  else if (!textOf(video.room)) found.push(danger('room', 'names no room'));
  else if (video.room === '*') found.push(warning('room', 'the room is called "*": that is no wildcard'));
  return found;
}

function grantFindings(video: Record<string, unknown>): TokenFinding[] {
  const found: TokenFinding[] = [];
  for (const [grant, meaning] of Object.entries(dangerousGrants)) {
    if (video[grant]) found.push(danger(`grant:${grant}`, `${grant}: ${meaning}`));
  }
  if (video.roomJoin === true) {
    for (const grant of permissiveWhenUnset) {
      if (typeof video[grant] !== 'boolean') {
        found.push(danger(`grant:${grant}`, `${grant} is not set, which LiveKit takes as permission`));
      }
    }
  }
  if (video.canPublish === true && !Array.isArray(video.canPublishSources)) {
    found.push(warning('grant:canPublishSources', 'may publish from any source: none are named'));
  }
  for (const grant of Object.keys(video)) {
    if (!knownGrants.has(grant)) found.push(warning(`grant:${grant}`, `${grant}: unknown grant`));
  }
  return found;
}

function claimFindings(claims: Record<string, unknown>): TokenFinding[] {
  const found: TokenFinding[] = [];
  for (const [claim, meaning] of Object.entries(dangerousClaims)) {
    if (claims[claim] !== undefined) found.push(danger(`claim:${claim}`, `${claim}: ${meaning}`));
  }
  for (const claim of Object.keys(claims)) {
    if (!knownClaims.has(claim)) found.push(warning(`claim:${claim}`, `${claim}: unknown claim`));
  }
  return found;
}

function verdictOf(findings: readonly TokenFinding[]): TokenInspection['verdict'] {
  if (findings.some(({ level }) => level === 'danger')) return 'dangerous';
  return findings.some(({ level }) => level === 'warning') ? 'questionable' : 'safe';
}

const danger = (rule: string, text: string): TokenFinding => ({ level: 'danger', rule, text });
const warning = (rule: string, text: string): TokenFinding => ({ level: 'warning', rule, text });
const note = (rule: string, text: string): TokenFinding => ({ level: 'note', rule, text });

function recordOf(value: unknown): Record<string, unknown> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return Object.fromEntries(Object.entries(value));
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function isoOf(seconds: number | null): string | null {
  // a Date ends at 8.64e12 s; what lies beyond never comes
  return seconds === null || Math.abs(seconds) > 8.64e12 ? null : new Date(seconds * 1000).toISOString();
}
