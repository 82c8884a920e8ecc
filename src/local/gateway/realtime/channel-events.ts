import { isObject } from '../../../kernel/json-object.ts';
import { type BroadcastContent, broadcastSize, fanOut } from './broadcast.ts';
import type { Channel } from './channel.ts';
import { handlePresence } from './channel-presence.ts';
import { PolicyFailure } from './policies.ts';
import { type ClientMessage, UserBroadcast } from './serializer.ts';
import { isNewKey, TokenRefusal, type VerifiedToken, verifyToken } from './token.ts';

/** A message to a joined channel. A promise only where a policy or a token has to be checked. */
export function handleChannelMessage(channel: Channel, message: ClientMessage): void | Promise<void> {
  switch (message.event) {
    case 'broadcast':
      return handleBroadcast(channel, message);
    case 'presence':
      return handlePresence(channel, message.ref, message.payload);
    case 'access_token':
      return handleAccessToken(channel, message.payload);
    default:
      // hosted counts and ignores what it does not know
      channel.core.quota.countMessages(1);
  }
}

function handleBroadcast(channel: Channel, message: ClientMessage): void | Promise<void> {
  const { payload } = message;
  if (!(payload instanceof UserBroadcast) && (!isObject(payload) || Buffer.isBuffer(payload))) {
    // hosted's channel process crashes on a payload that is no map; the client is told and may rejoin
    channel.close('phx_error');
    return;
  }
  if (!channel.config.isPrivate || channel.policies.broadcast.write === true) {
    broadcast(channel, message.ref, payload);
    return;
  }
  if (channel.policies.broadcast.write === null) {
    return authorizeWrite(channel).then(() => {
      if (channel.policies.broadcast.write === true) broadcast(channel, message.ref, payload);
    });
  }
  // denied: dropped without a word, also when an ack was asked for
}

async function authorizeWrite(channel: Channel): Promise<void> {
  try {
    await channel.askWrite();
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    channel.core.log.warn('broadcast policy gave no answer', {
      topic: channel.name,
      cause: String(error.cause),
    });
  }
}

function broadcast(channel: Channel, ref: string | null, content: BroadcastContent): void {
  if (channel.closed) return;
  const { core, config } = channel;
  core.counters.broadcastsReceived++;
  core.quota.countMessages(1);
  if (core.quota.profile && core.quota.payloadExceeded(broadcastSize(content))) {
    if (config.ackBroadcast) channel.reply(ref, 'error', 'payload_size_exceeded');
    return;
  }
  fanOut(core, channel.name, config.isPrivate, content, config.selfBroadcast ? {} : { except: channel });
  if (config.ackBroadcast) channel.reply(ref, 'ok', {});
}

/** A new token for the channel: rights are evaluated again, and a right to read that is gone ends the channel. */
async function handleAccessToken(channel: Channel, payload: unknown): Promise<void> {
  const text = isObject(payload) ? payload.access_token : undefined;
  if (typeof text !== 'string' || isNewKey(text) || text === channel.token.text) return;
  let token: VerifiedToken;
  try {
    token = await verifyToken(channel.core.auth, text);
  } catch (error) {
    if (!(error instanceof TokenRefusal)) throw error;
    channel.shutDown(error.shutdownMessage);
    return;
  }
  if (channel.closed) return;
  const before = channel.policies;
  channel.token = token;
  // what was readable stays so until the answer is there; writing is asked again at the next send
  channel.policies = {
    broadcast: { read: before.broadcast.read, write: null },
    presence: { read: before.presence.read, write: null },
  };
  if (channel.config.isPrivate && !(await readAgain(channel, before))) return;
  channel.core.changes.updateClaims(channel);
}

async function readAgain(channel: Channel, before: Channel['policies']): Promise<boolean> {
  try {
    await channel.askRead();
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    channel.shutDown(shutdownReason(error, channel.name));
    return false;
  }
  const { broadcast: broadcasts, presence } = channel.policies;
  if (!broadcasts.read && !presence.read) {
    channel.shutDown(`You do not have permissions to read from this Channel topic: ${channel.name}`);
    return false;
  }
  const revoked =
    (before.broadcast.read && broadcasts.read === false) || (before.presence.read && presence.read === false);
  if (revoked) {
    channel.shutDown(`You no longer have permission to read from this Channel topic: ${channel.name}`);
    return false;
  }
  return true;
}

function shutdownReason(failure: PolicyFailure, topic: string): string {
  if (failure.kind === 'canceled') return 'Query was cancelled, please try again';
  if (failure.kind === 'policy')
    return `You do not have permissions to read from this Channel topic: ${topic}`;
  return 'Realtime was unable to connect to the project database';
}
