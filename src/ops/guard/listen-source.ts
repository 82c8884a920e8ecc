import type pg from 'pg';
import { aborted, sleep } from '../../kernel/clock.ts';
import { withDeadline } from '../../kernel/deadline.ts';
import { messageOf } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import { listenSeatChangesSql } from '../seats.sql.ts';
import { type ChangeSource, redialed, type SourceSession } from './change-source.ts';
import type { SeatPair } from './guard-store.ts';

/**
 * Nothing tells of a peer that went without a word (a failover, a cable): the listening session is asked this often
 * whether it is there, and given up when it does not answer as fast as that.
 */
const aliveEveryMs = 5_000;

/** PostgreSQL's NOTIFY. Holds one connection of the pool for as long as it runs. */
export function listenSource(database: pg.Pool): ChangeSource {
  return redialed('listen', listenOn(database));
}

function listenOn(database: pg.Pool): SourceSession {
  return async (listener, connected, signal) => {
    let client: pg.PoolClient | undefined;
    try {
      client = await database.connect();
      const lost = Promise.withResolvers<Error>();
      client.on('error', lost.resolve);
      client.on('end', () => lost.resolve(new Error('the connection ended')));
      client.on('notification', ({ payload }) => listener.changed(pairOf(payload)));
      await withDeadline(client.query(listenSeatChangesSql), aliveEveryMs, 'LISTEN');
      connected();
      return messageOf(await Promise.race([lost.promise, untilDead(client, signal), aborted(signal)]));
    } catch (error) {
      return messageOf(error);
    } finally {
      // never back into the pool: it still listens
      client?.release(true);
    }
  };
}

async function untilDead(client: pg.PoolClient, signal: AbortSignal): Promise<Error> {
  try {
    while (true) {
      await sleep(aliveEveryMs, signal);
      await withDeadline(client.query('select 1'), aliveEveryMs, 'the answer of the listening session');
    }
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function pairOf(payload: string | undefined): SeatPair | null {
  try {
    const told: unknown = JSON.parse(payload ?? '');
    if (!isObject(told)) return null;
    const { stream_id: streamId, user_id: userId } = told;
    return typeof streamId === 'string' && typeof userId === 'string' ? { streamId, userId } : null;
  } catch {
    return null;
  }
}
