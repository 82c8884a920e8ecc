import type pg from 'pg';
import type { LoadResult } from '../../engine/load-result.ts';
import { type Operation, runOpenLoop } from '../../engine/open-loop.ts';
import { promiseOperation } from '../../engine/promise-operation.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { Fixture } from '../fixture.ts';
import { sendGiftsSql } from '../gift-backlog.sql.ts';
import { planSchedule } from '../load-arrivals.ts';
import { watchLoad } from '../load-watch.ts';
import type { LoadPlan, ProbeContext } from '../probe.ts';
import { sendGiftSql } from './gift-ledger.sql.ts';
import { AcknowledgedGifts, type GiftSchedule } from './gift-schedule.ts';

/** An answer later than this is a timeout; the gift may be in the ledger all the same. */
const giftTimeoutMs = 10_000;

export interface Ingestion {
  readonly load: LoadResult;
  readonly acknowledged: AcknowledgedGifts;
}

/** Users send gifts one by one through PostgREST, open-loop. */
export async function ingestOverHttp(
  ctx: ProbeContext,
  plan: LoadPlan,
  fixture: Fixture,
  schedule: GiftSchedule,
): Promise<Ingestion> {
  const rest = new SupabaseRest({
    supabaseUrl: ctx.target.supabaseUrl,
    apiKey: ctx.target.anonKey.reveal(),
    connections: plan.connections,
    timeoutMs: giftTimeoutMs,
  });
  const acknowledged = new AcknowledgedGifts();
  const headers = fixture.users.map((user) => rest.headersFor(user.token));
  const operation: Operation = (token, index, _intendedMs, settle) => {
    const { giftId, sender, receiver, amount } = schedule.gift('http', index);
    const body = `{"p_gift_id":"${giftId}","p_stream_id":"${schedule.streamId}","p_receiver_id":"${fixture.users[receiver]!.id}","p_amount":${amount}}`;
    rest.sendRpc('send_gift', body, headers[sender]!, (status, text) => {
      if (status >= 200 && status < 300) {
        acknowledged.add(index);
        settle(token, 'ok');
      } else if (status === 0) settle(token, 'error', text);
      else settle(token, status < 500 ? 'rejected' : 'error', `http ${status}`);
    });
  };
  try {
    const arrivals = planSchedule(plan);
    const load = await runOpenLoop({
      ...arrivals,
      operation,
      timeoutMs: giftTimeoutMs,
      signal: ctx.signal,
      onInterval: watchLoad(ctx, 'gift', 'gift.ingestion.ndjson', arrivals.durationMs),
    });
    return { load, acknowledged };
  } finally {
    await rest.close();
  }
}

/** The same call over a pool of database connections, as a backend of one's own would make it. */
export async function ingestOverSql(
  ctx: ProbeContext,
  plan: LoadPlan,
  database: pg.Pool,
  fixture: Fixture,
  schedule: GiftSchedule,
): Promise<Ingestion> {
  const acknowledged = new AcknowledgedGifts();
  const claims = fixture.users.map((user) => JSON.stringify({ sub: user.id, role: 'authenticated' }));
  const operation = promiseOperation(async (index) => {
    const { giftId, sender, receiver, amount } = schedule.gift('sql', index);
    const values = [claims[sender], giftId, schedule.streamId, fixture.users[receiver]!.id, amount];
    // named: parsed once per connection
    await database.query({ name: 'trollfix-send-gift', text: sendGiftSql, values });
    acknowledged.add(index);
    return 'ok';
  });
  const load = await runOpenLoop({
    ...planSchedule(plan),
    operation,
    timeoutMs: giftTimeoutMs,
    signal: ctx.signal,
    onInterval: watchLoad(ctx, 'gift sql', 'gift.sql.ndjson', plan.durationMs),
  });
  return { load, acknowledged };
}

/** Knee of batching: 500 rows a call on 2 connections (ledger.md §3). */
const batchSize = 500;
const batchConnections = 2;

export interface BatchIngestion {
  readonly gifts: number;
  readonly elapsedMs: number;
  readonly acknowledged: AcknowledgedGifts;
}

/** Builds a backlog with `send_gifts`, 500 gifts a call, as fast as two connections go. */
export async function ingestBatched(
  ctx: ProbeContext,
  gifts: number,
  database: pg.Pool,
  fixture: Fixture,
  schedule: GiftSchedule,
): Promise<BatchIngestion> {
  const acknowledged = new AcknowledgedGifts();
  const startedMs = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < gifts && !ctx.signal.aborted) {
      const from = next;
      next = Math.min(gifts, from + batchSize);
      const rows = Array.from({ length: next - from }, (_, i) => rowOf(fixture, schedule, from + i));
      await database.query({
        name: 'trollfix-send-gifts',
        text: sendGiftsSql,
        values: [JSON.stringify(rows)],
      });
      for (let index = from; index < from + rows.length; index++) acknowledged.add(index);
    }
  };
  await Promise.all(Array.from({ length: batchConnections }, worker));
  return { gifts: acknowledged.count, elapsedMs: performance.now() - startedMs, acknowledged };
}

function rowOf(fixture: Fixture, schedule: GiftSchedule, index: number): Record<string, unknown> {
  const { giftId, sender, receiver, amount } = schedule.gift('backlog', index);
  return {
    gift_id: giftId,
    sender_id: fixture.users[sender]!.id,
    receiver_id: fixture.users[receiver]!.id,
    stream_id: schedule.streamId,
    amount,
  };
}
