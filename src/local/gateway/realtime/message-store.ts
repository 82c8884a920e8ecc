import type pg from 'pg';
import { deleteOldMessagesSql, replaySql } from './policies.sql.ts';
import { UserBroadcast } from './serializer.ts';

export interface StoredBroadcast {
  readonly id: string;
  readonly broadcast: UserBroadcast;
}

/** What `realtime.send` and its kin have stored in `realtime.messages`. */
export class MessageStore {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** The newest broadcasts of a private topic since a moment, oldest first. */
  async replay(topic: string, sinceMs: number, limit: number): Promise<StoredBroadcast[]> {
    const result = await this.#pool.query<{
      id: string;
      event: string | null;
      payload: string | null;
      binary_payload: Buffer | null;
    }>(replaySql, [topic, sinceMs, limit]);
    return result.rows.reverse().flatMap((row) => {
      const broadcast = storedBroadcast(row.event, row.payload, row.binary_payload);
      return broadcast ? [{ id: row.id, broadcast }] : [];
    });
  }

  async deleteOld(): Promise<void> {
    await this.#pool.query(deleteOldMessagesSql);
  }
}

/** null: the row carries nothing that can be broadcast. */
export function storedBroadcast(
  event: string | null,
  payloadJson: string | null,
  binaryPayload: Buffer | null,
): UserBroadcast | null {
  if (event === null) return null;
  if (binaryPayload) return new UserBroadcast(event, 'binary', binaryPayload);
  if (payloadJson !== null) return new UserBroadcast(event, 'json', Buffer.from(payloadJson));
  return null;
}
