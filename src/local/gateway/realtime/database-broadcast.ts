import { broadcastSize, fanOut } from './broadcast.ts';
import type { StreamedChange } from './changes/pgoutput-decoder.ts';
import type { RealtimeCore } from './core.ts';
import { storedBroadcast } from './message-store.ts';

/** Whether the change is a row `realtime.send` and its kin have stored. */
export function isMessagesChange(change: StreamedChange): boolean {
  const { schema, name } = change.relation;
  return change.action === 'INSERT' && schema === 'realtime' && name === 'messages';
}

/** Broadcasts what the database has sent. Over the message limit it is lost without a word, as on hosted. */
export function databaseBroadcasts(core: RealtimeCore, inserts: readonly StreamedChange[]): void {
  for (const { new: row } of inserts) {
    const [id, topic] = [row?.get('id'), row?.get('topic')];
    if (!row || !id || !topic) continue;
    const broadcast = storedBroadcast(
      row.get('event') ?? null,
      row.get('payload') ?? null,
      bytesOf(row.get('binary_payload') ?? null),
    );
    if (!broadcast || core.quota.payloadExceeded(broadcastSize(broadcast))) continue;
    if (core.quota.messagesExceeded) {
      core.quota.refusals.messages++;
      continue;
    }
    core.counters.broadcastsReceived++;
    core.quota.countMessages(1);
    fanOut(core, topic, row.get('private') === 't', broadcast, { id });
  }
}

/** bytea in its hex form: `\x…`. */
function bytesOf(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text.slice(2), 'hex');
}
