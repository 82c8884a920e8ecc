import pg from 'pg';
import type { Logger } from '../../../../kernel/log.ts';
import type { Channel } from '../channel.ts';
import { checkSubscriptionSql } from './changes.sql.ts';
import type { ColumnFilter } from './filters.ts';
import type { ChangeAction } from './pgoutput-decoder.ts';
import {
  describeSubscription,
  parseSubscription,
  type SubscriptionParams,
  SubscriptionParamsError,
} from './subscription-params.ts';

/** What a filter becomes when its table is known. */
interface CheckedEntity {
  readonly schema: string;
  readonly table: string;
  readonly filters: readonly ColumnFilter[];
}

/** One entry of one channel's `postgres_changes`, live. */
export interface Subscription {
  readonly channel: Channel;
  readonly params: SubscriptionParams;
  readonly filtersByTable: ReadonlyMap<string, readonly ColumnFilter[]>;
}

/** Equal rights to rows: the same role and the same claims. */
export interface ClaimsGroup {
  readonly role: string;
  readonly sub: string | null;
  readonly json: string;
}

interface Registration {
  readonly channel: Channel;
  claims: ClaimsGroup;
  subscriptions: readonly Subscription[];
  /** Told apart from an older attempt that is still under way. */
  attempt: number;
  retry: NodeJS.Timeout | null;
}

/** hosted tries again after 5 to 10 s when the database gave no answer */
const retryMs = 5_000;

/** Names of SQLSTATEs as Postgrex prints them, for those a subscription can run into. */
const sqlStateNames: Readonly<Record<string, string>> = {
  P0001: 'raise_exception',
  '22P02': 'invalid_text_representation',
  '22003': 'numeric_value_out_of_range',
  '22007': 'invalid_datetime_format',
  '22008': 'datetime_field_overflow',
  '42704': 'undefined_object',
};

/** Who wants which changes. Channels register at join; nothing is announced before the stream flows. */
export class ChangeSubscriptions {
  readonly #pool: pg.Pool;
  readonly #log: Logger;
  readonly #registrations = new Map<Channel, Registration>();
  /** By `schema\0table` and its wildcards. */
  readonly #byTable = new Map<string, Set<Subscription>>();
  /** Checks under way: a thousand viewers with the same parameters ask once. */
  readonly #checks = new Map<string, Promise<CheckedEntity[]>>();
  #streaming = false;
  /** Awaited before a check: afterwards every publication that there was is streamed, or the stream is down. */
  onWanted: () => Promise<void> = async () => {};

  constructor(pool: pg.Pool, log: Logger) {
    this.#pool = pool;
    this.#log = log;
  }

  get count(): number {
    let count = 0;
    for (const registration of this.#registrations.values()) count += registration.subscriptions.length;
    return count;
  }

  add(channel: Channel): void {
    if (channel.config.postgresChanges.length === 0) return;
    const registration = { channel, claims: claimsOf(channel), subscriptions: [], attempt: 0, retry: null };
    this.#registrations.set(channel, registration);
    this.#start(registration);
  }

  remove(channel: Channel): void {
    const registration = this.#registrations.get(channel);
    if (!registration) return;
    this.#registrations.delete(channel);
    this.#clear(registration);
  }

  /** The channel has a new token: it takes effect for the next change, and is announced after the new check. */
  updateClaims(channel: Channel): void {
    const registration = this.#registrations.get(channel);
    if (!registration) return;
    registration.claims = claimsOf(channel);
    this.#start(registration);
  }

  claimsOf(channel: Channel): ClaimsGroup | undefined {
    return this.#registrations.get(channel)?.claims;
  }

  /** The stream flows (again): everybody is (re-)registered and told, as hosted does after a lost connection. */
  streamUp(): void {
    this.#streaming = true;
    for (const registration of this.#registrations.values()) this.#start(registration);
  }

  streamDown(): void {
    this.#streaming = false;
  }

  /** Those who asked for this kind of change of this table; their filters are not applied yet. */
  interested(schema: string, table: string, action: ChangeAction): Subscription[] {
    const found: Subscription[] = [];
    for (const key of [
      tableKey(schema, table),
      tableKey(schema, '*'),
      tableKey('*', table),
      tableKey('*', '*'),
    ]) {
      for (const subscription of this.#byTable.get(key) ?? []) {
        const { event } = subscription.params;
        if (event === '*' || event === action) found.push(subscription);
      }
    }
    return found;
  }

  stop(): void {
    for (const registration of this.#registrations.values()) this.#clear(registration);
    this.#registrations.clear();
  }

  #start(registration: Registration): void {
    registration.attempt++;
    if (registration.retry) clearTimeout(registration.retry);
    registration.retry = null;
    if (!this.#streaming) return; // streamUp comes back to it
    void this.#register(registration, registration.attempt);
  }

  async #register(registration: Registration, attempt: number): Promise<void> {
    const { channel } = registration;
    const isCurrent = () =>
      this.#registrations.get(channel) === registration &&
      registration.attempt === attempt &&
      this.#streaming;
    try {
      const params = channel.config.postgresChanges.map(parseSubscription);
      await this.onWanted();
      // starting over with a new publication: streamUp comes back to it
      if (!isCurrent()) return;
      const role = registration.claims.role;
      const subscriptions = await Promise.all(params.map((one) => this.#check(channel, one, role)));
      if (!isCurrent()) return;
      this.#replace(registration, subscriptions);
      channel.system('postgres_changes', 'ok', 'Subscribed to PostgreSQL');
    } catch (error) {
      if (!isCurrent()) return;
      this.#refused(registration, error);
    }
  }

  #refused(registration: Registration, error: unknown): void {
    this.#replace(registration, []);
    const { channel } = registration;
    if (error instanceof SubscriptionParamsError) {
      // wrong parameters stay wrong: no retry
      channel.system('postgres_changes', 'error', error.message);
      return;
    }
    this.#log.warn('postgres_changes subscription failed', { topic: channel.name, cause: String(error) });
    channel.system('postgres_changes', 'error', String(error));
    registration.retry = setTimeout(() => this.#start(registration), retryMs).unref();
  }

  async #check(channel: Channel, params: SubscriptionParams, role: string): Promise<Subscription> {
    const key = JSON.stringify([params.schema, params.table, role, params.filters, params.select]);
    let check = this.#checks.get(key);
    if (!check) {
      check = this.#ask(params, role).finally(() => this.#checks.delete(key));
      this.#checks.set(key, check);
    }
    const entities = await check;
    if (entities.length === 0) {
      throw new SubscriptionParamsError(
        `Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: [${describeSubscription(params)}]`,
      );
    }
    const filtersByTable = new Map(entities.map((e) => [tableKey(e.schema, e.table), e.filters]));
    return { channel, params, filtersByTable };
  }

  async #ask(params: SubscriptionParams, role: string): Promise<CheckedEntity[]> {
    try {
      const { schema, table, filters, select } = params;
      const values = [schema, table, role, JSON.stringify(filters), select];
      const result = await this.#pool.query<{ entities: CheckedEntity[] }>(checkSubscriptionSql, values);
      return result.rows[0]?.entities ?? [];
    } catch (error) {
      // what PostgreSQL says about the parameters; connection trouble is not that
      if (!(error instanceof pg.DatabaseError) || !error.code || /^(57|08|53)/.test(error.code)) throw error;
      const name = sqlStateNames[error.code];
      throw new SubscriptionParamsError(
        `Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: [${describeSubscription(params)}]. Exception: ERROR ${error.code}${name ? ` (${name})` : ''} ${error.message}`,
      );
    }
  }

  #replace(registration: Registration, subscriptions: readonly Subscription[]): void {
    for (const old of registration.subscriptions) {
      const key = tableKey(old.params.schema, old.params.table);
      const set = this.#byTable.get(key);
      set?.delete(old);
      if (set?.size === 0) this.#byTable.delete(key);
    }
    registration.subscriptions = subscriptions;
    for (const fresh of subscriptions) {
      const key = tableKey(fresh.params.schema, fresh.params.table);
      let set = this.#byTable.get(key);
      if (!set) {
        set = new Set();
        this.#byTable.set(key, set);
      }
      set.add(fresh);
    }
  }

  #clear(registration: Registration): void {
    if (registration.retry) clearTimeout(registration.retry);
    this.#replace(registration, []);
  }
}

/** A name of PostgreSQL cannot hold a NUL: the key is unambiguous. */
export function tableKey(schema: string, table: string): string {
  return `${schema}\0${table}`;
}

function claimsOf(channel: Channel): ClaimsGroup {
  const { claims } = channel.token;
  return {
    role: claims.role,
    sub: typeof claims.sub === 'string' ? claims.sub : null,
    json: JSON.stringify(claims),
  };
}
