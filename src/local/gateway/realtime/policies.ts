import pg from 'pg';
import type { Claims } from '../context.ts';
import { readPoliciesSql, writePoliciesSql } from './policies.sql.ts';

export type Extension = 'broadcast' | 'presence';

/** What a private channel may do; null: not evaluated yet. */
export interface ChannelPolicies {
  broadcast: { read: boolean | null; write: boolean | null };
  presence: { read: boolean | null; write: boolean | null };
}

export function unknownPolicies(): ChannelPolicies {
  return { broadcast: { read: null, write: null }, presence: { read: null, write: null } };
}

/** Whose rights are asked about, on which topic (without the `realtime:` prefix). */
export interface PolicySubject {
  readonly topic: string;
  readonly claims: Claims;
  /** `x-…` headers of the upgrade request, which policies can read. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A policy check that gave no answer. */
export class PolicyFailure extends Error {
  override readonly name = 'PolicyFailure';
  /** `policy`: the policy itself failed; `canceled`: it ran too long; `unavailable`: no database. */
  readonly kind: 'policy' | 'canceled' | 'unavailable';

  constructor(kind: PolicyFailure['kind'], cause: unknown) {
    super(`policy check: ${kind}`, { cause });
    this.kind = kind;
  }
}

/**
 * Asks the row security policies on `realtime.messages`, as hosted: reading means seeing a probe row of the
 * topic, writing means being allowed to insert one. One round trip each; nothing stays in the table.
 */
export class PolicyChecker {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** @throws PolicyFailure */
  read(subject: PolicySubject, extensions: readonly Extension[]): Promise<ReadonlySet<Extension>> {
    return this.#ask(readPoliciesSql, subject, extensions);
  }

  /** @throws PolicyFailure */
  write(subject: PolicySubject, extensions: readonly Extension[]): Promise<ReadonlySet<Extension>> {
    return this.#ask(writePoliciesSql, subject, extensions);
  }

  async #ask(sql: string, subject: PolicySubject, extensions: readonly Extension[]) {
    try {
      const result = await this.#pool.query<{ allowed: Extension[] }>(sql, [
        subject.topic,
        subject.claims.role,
        JSON.stringify(subject.claims),
        subject.claims.sub ?? null,
        JSON.stringify(subject.headers),
        extensions,
      ]);
      return new Set(result.rows[0]?.allowed ?? []);
    } catch (error) {
      throw new PolicyFailure(failureKind(error), error);
    }
  }
}

function failureKind(error: unknown): PolicyFailure['kind'] {
  if (!(error instanceof pg.DatabaseError)) return 'unavailable';
  if (error.code === '57014') return 'canceled';
  // 57P01..57P03: the server is going down or coming up; 08: connection; 53: no resources
  if (error.code && /^(57P|08|53)/.test(error.code)) return 'unavailable';
  return 'policy';
}
