import type { Channel } from './channel.ts';
import type { RealtimeCore } from './core.ts';
import { encodeMessage, encodeUserBroadcast, UserBroadcast, type Vsn } from './serializer.ts';

/** What is fanned out: an opaque user broadcast, or the JSON object of a text frame or a REST call. */
export type BroadcastContent = UserBroadcast | Readonly<Record<string, unknown>>;

export interface BroadcastOptions {
  /** The channel that sent it and does not want to hear itself. */
  readonly except?: Channel;
  /** The id of a message out of the database: goes into `meta`, and channels that replayed it skip it. */
  readonly id?: string;
}

/**
 * Delivers to every member of a topic that may read broadcasts. Each serializer's frame is built once, when
 * its first receiver turns up. Counts one message per receiver; receivers of an exceeded quota get this
 * message and are then shut, as on hosted.
 */
export function fanOut(
  core: RealtimeCore,
  topicName: string,
  isPrivate: boolean,
  content: BroadcastContent,
  options: BroadcastOptions = {},
): void {
  const topic = core.topics.find(topicName, isPrivate);
  if (!topic) return;
  const frames = frameCache(`realtime:${topicName}`, content, options.id);
  let receivers = 0;
  for (const channel of topic.members) {
    if (channel === options.except || !channel.readsBroadcast) continue;
    if (options.id !== undefined && channel.replayedIds.has(options.id)) continue;
    receivers++;
    const frame = frames(channel.vsn);
    if (frame) channel.send(frame);
  }
  core.counters.broadcastsDelivered += receivers;
  core.quota.countMessages(receivers);
  if (receivers > 0 && core.quota.messagesExceeded) shutReceivers(core, [...topic.members], options);
}

function shutReceivers(core: RealtimeCore, members: readonly Channel[], options: BroadcastOptions): void {
  for (const channel of members) {
    if (channel === options.except || !channel.readsBroadcast) continue;
    core.quota.refusals.messages++;
    channel.shutDown('Too many messages per second');
  }
}

function frameCache(wireTopic: string, content: BroadcastContent, id: string | undefined) {
  const meta = id === undefined ? null : { id };
  let v1: Buffer | null | undefined;
  let v2: Buffer | null | undefined;
  return (vsn: Vsn): Buffer | null => {
    if (vsn === '2.0.0') {
      if (v2 === undefined) v2 = encode(vsn, wireTopic, content, meta);
      return v2;
    }
    if (v1 === undefined) v1 = encode(vsn, wireTopic, content, meta);
    return v1;
  };
}

function encode(vsn: Vsn, wireTopic: string, content: BroadcastContent, meta: { id: string } | null) {
  if (content instanceof UserBroadcast) return encodeUserBroadcast(vsn, wireTopic, content, meta);
  const payload = JSON.stringify(meta ? { ...content, meta } : content);
  return encodeMessage(vsn, { joinRef: null, ref: null, topic: wireTopic, event: 'broadcast' }, payload);
}

/** Bytes of a broadcast as the payload limit counts them. */
export function broadcastSize(content: BroadcastContent): number {
  return content instanceof UserBroadcast
    ? content.body.length + content.event.length
    : Buffer.byteLength(JSON.stringify(content));
}
