import { isObject } from '../../../kernel/json-object.ts';
import type { Channel } from './channel.ts';
import type { RealtimeCore } from './core.ts';
import { PolicyFailure } from './policies.ts';
import type { PresenceDiff } from './presence.ts';
import { encodeMessage, type Vsn } from './serializer.ts';
import type { Topic } from './topics.ts';

/** `presence_diff` to every member that may read presence. */
export function fanOutPresence(core: RealtimeCore, topic: Topic, diff: PresenceDiff): void {
  const payload = JSON.stringify(diff);
  const frames = new Map<Vsn, Buffer>();
  let receivers = 0;
  for (const channel of topic.members) {
    if (!channel.readsPresence) continue;
    let frame = frames.get(channel.vsn);
    if (!frame) {
      const fields = { joinRef: null, ref: null, topic: channel.wireTopic, event: 'presence_diff' };
      frame = encodeMessage(channel.vsn, fields, payload);
      frames.set(channel.vsn, frame);
    }
    channel.send(frame);
    receivers++;
  }
  core.quota.countPresenceDeliveries(receivers);
}

/** `presence_state` after a join that enabled presence. */
export function syncPresence(channel: Channel): void {
  if (!channel.presenceEnabled || !channel.readsPresence || !channel.topic) return;
  if (channel.core.quota.presenceExceeded()) {
    channel.shutDown('Too many presence messages per second');
    return;
  }
  channel.push('presence_state', channel.topic.presence.state());
}

/** A `presence` message: track or untrack. Asynchronous only when a policy has to be asked. */
export function handlePresence(channel: Channel, ref: string | null, payload: unknown): void | Promise<void> {
  if (!isObject(payload) || typeof payload.event !== 'string') {
    channel.reply(ref, 'ok', {});
    return;
  }
  if (channel.exceedsPresenceCalls(performance.now())) {
    channel.shutDown('Client presence rate limit exceeded');
    return;
  }
  const event = payload.event.toLowerCase();
  if (event === 'untrack') {
    untrack(channel);
    channel.reply(ref, 'ok', {});
  } else if (event !== 'track') {
    channel.reply(ref, 'error', {});
  } else if (channel.config.isPrivate && channel.policies.presence.write === null) {
    return authorizePresence(channel).then((authorized) => {
      if (authorized) track(channel, ref, payload.payload ?? {});
      else channel.reply(ref, 'error', {});
    });
  } else {
    track(channel, ref, payload.payload ?? {});
  }
}

/** Evaluates what is not known yet; false when the policies gave no answer. */
async function authorizePresence(channel: Channel): Promise<boolean> {
  const { policies, core } = channel;
  try {
    if (policies.presence.read === null) {
      policies.presence.read = (await core.policies.read(channel.policySubject, ['presence'])).has(
        'presence',
      );
    }
    await channel.askWrite();
    return true;
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    core.log.warn('presence policy gave no answer', { topic: channel.name, cause: String(error.cause) });
    return false;
  }
}

function track(channel: Channel, ref: string | null, payload: unknown): void {
  const { core, topic } = channel;
  if (!topic) return;
  if (channel.config.isPrivate && channel.policies.presence.write !== true) {
    channel.reply(ref, 'error', {});
    return;
  }
  if (!isObject(payload)) {
    channel.reply(ref, 'error', { reason: 'Presence track payload must be a map' });
    return;
  }
  const text = JSON.stringify(payload);
  if (text === channel.trackedPayload) {
    channel.reply(ref, 'ok', {});
    return;
  }
  if (core.quota.payloadExceeded(Buffer.byteLength(text)) || core.quota.presencePayloadExceeded(payload)) {
    channel.shutDown('Track message size exceeded');
    return;
  }
  if (core.quota.presenceExceeded()) {
    channel.shutDown('Too many presence messages per second');
    return;
  }
  channel.presenceEnabled = true;
  channel.trackedPayload = text;
  channel.reply(ref, 'ok', {});
  fanOutPresence(core, topic, topic.presence.track(channel, channel.config.presenceKey, payload));
}

function untrack(channel: Channel): void {
  channel.trackedPayload = null;
  const diff = channel.topic?.presence.untrack(channel, channel.config.presenceKey);
  if (diff && channel.topic) fanOutPresence(channel.core, channel.topic, diff);
}
