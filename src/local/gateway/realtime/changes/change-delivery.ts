import type pg from 'pg';
import { messageOf } from '../../../../kernel/errors.ts';
import type { Logger } from '../../../../kernel/log.ts';
import type { Channel } from '../channel.ts';
import type { Quota } from '../quota.ts';
import { encodeMessage } from '../serializer.ts';
import { changeData, errorData, rolesError } from './change-record.ts';
import {
  type ChangeSubscriptions,
  type ClaimsGroup,
  type Subscription,
  tableKey,
} from './change-subscriptions.ts';
import { FilterQuestions } from './filter-questions.ts';
import type { ColumnFilter } from './filters.ts';
import type { StreamedChange, StreamRelation } from './pgoutput-decoder.ts';
import { visibleRows } from './row-security.ts';
import { readTableFacts, type TableFacts } from './table-facts.ts';
import { waitUntilVisible } from './visibility.ts';

export interface ChangeCounters {
  changesReceived: number;
  /** Change events handed to sockets, one per channel. */
  changesDelivered: number;
  /** Pairs of row and claims that were read back under a role. */
  rowSecurityChecks: number;
  /** Batches delivered although their transactions were still invisible. */
  visibilityTimeouts: number;
  /** Batches lost because the database gave no answer. */
  batchesFailed: number;
  /** Changes skipped because the message quota was exceeded. */
  changesSkippedByQuota: number;
}

/** A subscription with the claims its channel had when the change came in: they hold for the whole batch. */
interface Recipient {
  readonly subscription: Subscription;
  readonly claims: ClaimsGroup;
}

/** One change with those who asked for it, on its way to them. */
interface Candidate {
  readonly change: StreamedChange;
  readonly recipients: readonly Recipient[];
}

type Tables = ReadonlyMap<StreamRelation, TableFacts>;

/** Takes changes from the stream to the channels: filters, row security, column privileges, frames. */
export class ChangeDelivery {
  readonly counters: ChangeCounters = {
    changesReceived: 0,
    changesDelivered: 0,
    rowSecurityChecks: 0,
    visibilityTimeouts: 0,
    batchesFailed: 0,
    changesSkippedByQuota: 0,
  };
  readonly #pool: pg.Pool;
  readonly #subscriptions: ChangeSubscriptions;
  readonly #quota: Quota;
  readonly #log: Logger;
  readonly #visibilityWaitMs: number;

  /** @param visibilityWaitMs how long a decoded transaction may stay invisible; 0 does not wait, and loses events */
  constructor(
    parts: { pool: pg.Pool; subscriptions: ChangeSubscriptions; quota: Quota; log: Logger },
    visibilityWaitMs: number,
  ) {
    this.#pool = parts.pool;
    this.#subscriptions = parts.subscriptions;
    this.#quota = parts.quota;
    this.#log = parts.log;
    this.#visibilityWaitMs = visibilityWaitMs;
  }

  /** Never rejects: a batch that fails is counted and given up, as on hosted. */
  async deliver(changes: readonly StreamedChange[]): Promise<void> {
    this.counters.changesReceived += changes.length;
    const candidates = changes.flatMap((change) => this.#candidate(change) ?? []);
    if (candidates.length === 0) return;
    if (this.#quota.changesExceeded) {
      this.counters.changesSkippedByQuota += candidates.length;
      return;
    }
    try {
      await this.#deliverWanted(candidates);
    } catch (error) {
      this.counters.batchesFailed++;
      this.#log.warn('changes could not be delivered', {
        changes: candidates.length,
        message: messageOf(error),
      });
    }
  }

  #candidate(change: StreamedChange): Candidate | null {
    const { schema, name } = change.relation;
    const recipients = this.#subscriptions.interested(schema, name, change.action).flatMap((subscription) => {
      const claims = this.#subscriptions.claimsOf(subscription.channel);
      return claims ? [{ subscription, claims }] : [];
    });
    return recipients.length === 0 ? null : { change, recipients };
  }

  async #deliverWanted(candidates: readonly Candidate[]): Promise<void> {
    if (this.#visibilityWaitMs > 0) {
      const xids = new Set(candidates.map(({ change }) => change.xid));
      const visible = await waitUntilVisible(this.#pool, xids, this.#visibilityWaitMs);
      if (!visible) this.counters.visibilityTimeouts++;
    }
    const tables = await this.#readTables(candidates);
    const filtered = await this.#applyFilters(tables, candidates);
    for (const { change, recipients } of await this.#applyRowSecurity(tables, filtered)) {
      const facts = tables.get(change.relation);
      if (facts) this.#emit(change, facts, recipients);
    }
  }

  async #readTables(candidates: readonly Candidate[]): Promise<Tables> {
    const tables = new Map<StreamRelation, TableFacts>();
    for (const [relation, ofTable] of Map.groupBy(candidates, ({ change }) => change.relation)) {
      const roles = new Set(ofTable.flatMap(({ recipients }) => recipients.map((r) => r.claims.role)));
      const facts = await readTableFacts(this.#pool, relation.oid, [...roles]);
      if (facts) tables.set(relation, facts);
    }
    return tables;
  }

  /** Leaves of each candidate those whose filters the row passes; whoever gets an error gets it unfiltered. */
  async #applyFilters(tables: Tables, candidates: readonly Candidate[]): Promise<Candidate[]> {
    const questions = new FilterQuestions(this.#pool, this.#log);
    for (const { change, recipients } of candidates) {
      for (const { subscription } of recipients) questions.note(filtersOf(subscription, change), change);
    }
    await questions.ask();
    return candidates.map(({ change, recipients }) => {
      const facts = tables.get(change.relation);
      return {
        change,
        recipients: recipients.filter(({ subscription, claims }) => {
          if (facts && rolesError(change, facts, claims.role)) return true;
          const filters = filtersOf(subscription, change);
          return filters !== undefined && questions.passes(filters, change);
        }),
      };
    });
  }

  async #applyRowSecurity(tables: Tables, filtered: readonly Candidate[]): Promise<Candidate[]> {
    const visible = new Map<StreamRelation, Map<ClaimsKey, Set<StreamedChange>>>();
    for (const [relation, facts] of tables) {
      if (!facts.rowSecurity) continue;
      const ofTable = filtered.filter(
        ({ change }) => change.relation === relation && change.action !== 'DELETE',
      );
      visible.set(relation, await this.#readBack(facts, ofTable));
    }
    return filtered.map(({ change, recipients }) => {
      const facts = tables.get(change.relation);
      if (!facts?.rowSecurity || change.action === 'DELETE') return { change, recipients };
      const ofTable = visible.get(change.relation);
      return {
        change,
        recipients: recipients.filter(
          ({ claims }) =>
            rolesError(change, facts, claims.role) !== null ||
            ofTable?.get(claims.json)?.has(change) === true,
        ),
      };
    });
  }

  async #readBack(facts: TableFacts, candidates: readonly Candidate[]) {
    const groups = new Map<ClaimsKey, ClaimsGroup>();
    const wanted = new Map<ClaimsGroup, StreamedChange[]>();
    for (const { change, recipients } of candidates) {
      const asked = new Set<ClaimsGroup>();
      for (const { claims } of recipients) {
        if (rolesError(change, facts, claims.role)) continue;
        const group = groups.get(claims.json) ?? claims;
        groups.set(claims.json, group);
        asked.add(group);
      }
      for (const group of asked) {
        const rows = wanted.get(group);
        if (rows) rows.push(change);
        else wanted.set(group, [change]);
      }
      this.counters.rowSecurityChecks += asked.size;
    }
    const byGroup = await visibleRows(this.#pool, facts, wanted, this.#log);
    return new Map([...byGroup].map(([group, rows]) => [group.json, rows] as const));
  }

  /** One event per channel, with the ids of all its entries that the change belongs to. */
  #emit(change: StreamedChange, facts: TableFacts, recipients: readonly Recipient[]): void {
    const dataCache = new Map<string, string>();
    const frames = new Map<string, Buffer>();
    // entries of one channel that select different columns get an event each
    const byEvent = Map.groupBy(recipients, (r) => r.subscription.channel);
    for (const [channel, ofChannel] of byEvent) {
      for (const [select, entries] of Map.groupBy(ofChannel, (r) => selectKey(r.subscription))) {
        const first = entries[0];
        if (!first) continue;
        const dataKey = `${first.claims.role}\0${select}`;
        const { role } = first.claims;
        const data = dataCache.get(dataKey) ?? dataOf(change, facts, role, first.subscription.params.select);
        dataCache.set(dataKey, data);
        const ids = [...new Set(entries.map((r) => r.subscription.params.id))].join();
        this.#send(channel, `${dataKey}\0${ids}`, frames, `{"ids":[${ids}],"data":${data}}`);
        this.#quota.countChanges(entries.length);
      }
    }
  }

  #send(channel: Channel, key: string, frames: Map<string, Buffer>, payload: string): void {
    const { vsn, wireTopic } = channel;
    const frameKey = `${vsn}\0${wireTopic}\0${key}`;
    let frame = frames.get(frameKey);
    if (!frame) {
      const fields = { joinRef: null, ref: null, topic: wireTopic, event: 'postgres_changes' };
      frame = encodeMessage(vsn, fields, payload);
      frames.set(frameKey, frame);
    }
    channel.send(frame);
    this.counters.changesDelivered++;
  }
}

function selectKey(subscription: Subscription): string {
  return JSON.stringify(subscription.params.select);
}

/** The JSON of the claims. */
type ClaimsKey = string;

function dataOf(
  change: StreamedChange,
  facts: TableFacts,
  role: string,
  select: readonly string[] | null,
): string {
  const error = rolesError(change, facts, role);
  return error ? errorData(change, error) : changeData(change, facts, role, select);
}

/** undefined: the subscription was checked before this table was published. */
function filtersOf(subscription: Subscription, change: StreamedChange): readonly ColumnFilter[] | undefined {
  if (subscription.params.filters.length === 0) return [];
  return subscription.filtersByTable.get(tableKey(change.relation.schema, change.relation.name));
}
