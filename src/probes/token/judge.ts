import { TrollfixError } from '../../kernel/errors.ts';
import type { Secret } from '../../kernel/redact.ts';
import type { TokenAnswer } from '../../target/livekit/token-endpoint.ts';
import { inspectToken, type TokenInspection } from '../../target/livekit/token-inspection.ts';
import type { Allowance, TokenCase } from './hostile-case.ts';
import type { Scene } from './scene.ts';

/** What a token says, for the report: its claims, never itself. */
export type TokenEvidence = Pick<TokenInspection, 'identity' | 'room' | 'lifetimeSeconds' | 'grants'> & {
  /** Claims beside identity, room, times and grants, by name. */
  readonly otherClaims: readonly string[];
};

/** What became of one case. `inconclusive`: nothing is known, and `why` says what kept it from being known. */
export interface CaseResult {
  readonly verdict: 'held' | 'breached' | 'inconclusive';
  /** Status and words of the answer; null when nothing was asked. */
  readonly answer: string | null;
  readonly why: readonly string[];
  readonly claims: TokenEvidence | null;
}

const allowedClaims = new Set([
  ...['iss', 'sub', 'name', 'iat', 'nbf', 'exp', 'jti', 'video', 'attributes', 'metadata'],
]);
const allowedGrants = new Set([
  ...['roomJoin', 'room', 'canPublish', 'canSubscribe', 'canPublishData', 'canUpdateOwnMetadata'],
  'canPublishSources',
]);

/** Claims that identify a participant to others; they must not depend on what was asked. */
const describingClaims = ['name', 'attributes', 'metadata'] as const;

/** Judges the answers of one endpoint; what honest requests get is remembered and is the measure for the others. */
export class Judge {
  readonly #scene: Scene;
  readonly #livekit: { readonly apiKey: string; readonly apiSecret: Secret } | undefined;
  readonly #nowMs: () => number;
  /** The token that the same user got for the same room when asking honestly, and what was wrong with it then. */
  readonly #honest = new Map<
    string,
    { readonly inspection: TokenInspection; readonly why: readonly string[] }
  >();

  /** @param livekit with it signatures are checked too */
  constructor(
    scene: Scene,
    livekit: { readonly apiKey: string; readonly apiSecret: Secret } | undefined,
    nowMs: () => number,
  ) {
    this.#scene = scene;
    this.#livekit = livekit;
    this.#nowMs = nowMs;
  }

  async judge({ expect }: TokenCase, answer: TokenAnswer): Promise<CaseResult> {
    if (answer.token === null) return this.#withoutToken(expect, answer);
    const said = `${answer.status} with a token`;
    let inspection: TokenInspection;
    try {
      inspection = await inspectToken(answer.token, { nowMs: this.#nowMs(), ...this.#livekit });
    } catch (error) {
      if (!(error instanceof TrollfixError)) throw error;
      return {
        verdict: 'inconclusive',
        answer: said,
        why: [`what came back: ${error.message}`],
        claims: null,
      };
    }
    const claims = evidenceOf(inspection);
    if (expect.kind === 'refused') {
      return { verdict: 'breached', answer: said, why: ['a token was given'], claims };
    }
    const found = this.#excesses(inspection, expect.allow);
    const honest = this.#honest.get(keyOf(expect.allow));
    if (expect.kind === 'token' && honest === undefined) {
      this.#honest.set(keyOf(expect.allow), { inspection, why: found });
    }
    // what every token of this user has wrong was told with the honest one: here counts what the hostility gained
    const told = expect.kind === 'at_most' ? (honest?.why ?? []) : [];
    const why = found.filter((text) => !told.includes(text));
    return { verdict: why.length === 0 ? 'held' : 'breached', answer: said, why, claims };
  }

  #withoutToken(expect: TokenCase['expect'], answer: TokenAnswer): CaseResult {
    const { status } = answer;
    const said = `${status} ${answer.problem ?? ''}`.trim();
    const result = (verdict: CaseResult['verdict'], ...why: string[]): CaseResult => ({
      ...{ verdict, answer: said, why, claims: null },
    });
    if (status === 0) return result('inconclusive', 'nobody answered');
    if (status === 429) return result('inconclusive', 'the endpoint limits how often it is asked');
    const { strict } = this.#scene;
    if (expect.kind === 'token') {
      return strict
        ? result('breached', 'an honest request got no token')
        : result(
            'inconclusive',
            'an honest request got no token: is the session fresh, and the stream live?',
          );
    }
    // no token either, but by accident: the request got somewhere it should not have
    const refused = status >= 300 && status < 500;
    if (!refused) {
      const why = `answered ${status} instead of refusing`;
      return strict ? result('breached', why) : result('inconclusive', why);
    }
    if (!strict && this.#honest.size === 0) {
      return result('inconclusive', 'it refuses honest requests too, so a refusal shows nothing');
    }
    return result('held');
  }

  /** Everything a token grants, or leaves open, beyond what is allowed. */
  #excesses(inspection: TokenInspection, allow: Allowance): string[] {
    const { identity, room, lifetimeSeconds, grants, claims } = inspection;
    const expected = this.#expected(allow);
    const { maxTtlS, strict } = this.#scene;
    // what is only questionable is somebody else's to decide
    const counts = (level: string) => level === 'danger' || (strict && level === 'warning');
    // how long it may live is this scene's to say
    const found = inspection.findings.filter(({ level, rule }) => counts(level) && rule !== 'lifetime');
    const why = found.map(({ text }) => text);
    const named = new Set(found.map(({ rule }) => rule));
    if (expected.identity !== null && identity !== expected.identity) {
      why.push(`the identity is ${identity}, not that of the caller`);
    }
    if (expected.room !== null && room !== expected.room) why.push(`the room is ${room}, not the stream's`);
    if (lifetimeSeconds === null || lifetimeSeconds > maxTtlS) {
      why.push(`it lives ${lifetimeSeconds ?? 'unknown'} s, longer than ${maxTtlS} s`);
    }
    if (grants.roomJoin !== true) why.push('it does not let its holder join');
    if (grants.canPublish === true && !allow.canPublish) why.push('canPublish is true');
    if (grants.canPublish === false && allow.canPublish && this.#scene.strict)
      why.push('canPublish is false');
    if (grants.canPublishData === true && !allow.canPublish) why.push('canPublishData is true');
    for (const claim of Object.keys(claims))
      if (!allowedClaims.has(claim) && !named.has(`claim:${claim}`)) why.push(`claim ${claim}`);
    for (const grant of Object.keys(grants))
      if (!allowedGrants.has(grant) && !named.has(`grant:${grant}`)) why.push(`grant ${grant}`);
    if (expected.honest !== null) why.push(...changedDescription(inspection, expected.honest));
    return [...new Set(why)];
  }

  /** By our own rules, or as honest requests showed them; null where nothing is known to compare with. */
  #expected(allow: Allowance) {
    const { strict } = this.#scene;
    const honest = this.#honest.get(keyOf(allow))?.inspection ?? null;
    if (strict) return { identity: allow.user.id, room: allow.stream, honest };
    const sameStream = [...this.#honest].find(([key]) => key.endsWith(` ${allow.stream}`))?.[1].inspection;
    return {
      identity: honest?.identity ?? null,
      room: honest?.room ?? sameStream?.room ?? null,
      honest,
    };
  }
}

/** A case that could not be asked. */
export function notAsked(missing: string): CaseResult {
  return { verdict: 'inconclusive', answer: null, why: [missing], claims: null };
}

function keyOf({ user, stream }: Allowance): string {
  return `${user.jwt ?? 'nobody'} ${stream}`;
}

function changedDescription({ claims }: TokenInspection, honest: TokenInspection): string[] {
  return describingClaims
    .filter((claim) => JSON.stringify(claims[claim]) !== JSON.stringify(honest.claims[claim]))
    .map((claim) => `${claim} is not what an honest request gets`);
}

const plainClaims = new Set(['iss', 'sub', 'iat', 'nbf', 'exp', 'jti', 'video']);

function evidenceOf({ identity, room, lifetimeSeconds, grants, claims }: TokenInspection): TokenEvidence {
  const otherClaims = Object.keys(claims).filter((claim) => !plainClaims.has(claim));
  return { identity, room, lifetimeSeconds, grants, otherClaims };
}
