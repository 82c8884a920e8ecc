import { Channel } from './channel.ts';
import { syncPresence } from './channel-presence.ts';
import type { Connection } from './connection.ts';
import { changeIdOf, type JoinConfig, parseJoin } from './join-config.ts';
import type { StoredBroadcast } from './message-store.ts';
import { PolicyFailure } from './policies.ts';
import { announceReplicationReady } from './replication-ready.ts';
import { type ClientMessage, encodeReply, encodeUserBroadcast } from './serializer.ts';
import { expiredRefusal, isNewKey, TokenRefusal, type VerifiedToken, verifyToken } from './token.ts';

/** Why a join is refused, in hosted's words; some refusals take the socket with them. */
class JoinRefusal extends Error {
  override readonly name = 'JoinRefusal';
  readonly disconnects: boolean;

  constructor(reason: string, disconnects = false) {
    super(reason);
    this.disconnects = disconnects;
  }
}

/** `phx_join`: limits, token, policies, replay; then the reply, and what follows it. */
export async function joinChannel(connection: Connection, message: ClientMessage): Promise<void> {
  const { core } = connection;
  const reply = (status: 'ok' | 'error', response: unknown) =>
    connection.send(encodeReply(connection.vsn, message, status, response));
  if (!message.topic.startsWith('realtime:')) {
    core.counters.joinsRefused++;
    reply('error', { reason: 'unmatched topic' });
    return;
  }
  // Phoenix: a second join of a topic on one socket replaces the first
  connection.channels.get(message.topic)?.close('phx_close');
  const config = parseJoin(message.payload);
  try {
    const channel = await admit(connection, message, config);
    const replayed = await replay(channel, config);
    open(channel, reply, replayed);
  } catch (error) {
    if (!(error instanceof JoinRefusal)) throw error;
    core.counters.joinsRefused++;
    reply('error', { reason: error.message });
    if (error.disconnects) connection.close(1000, 'disconnected');
  }
}

async function admit(connection: Connection, message: ClientMessage, config: JoinConfig): Promise<Channel> {
  const { core } = connection;
  const { quota } = core;
  if (message.topic === 'realtime:') {
    throw new JoinRefusal('TopicNameRequired: You must provide a topic name');
  }
  if (!connection.isUser && quota.connectionsExceeded(core.gauges.users)) {
    throw new JoinRefusal('ConnectionRateLimitReached: Too many connected users');
  }
  if (quota.joinsExceeded) {
    throw new JoinRefusal('ClientJoinRateLimitReached: Too many joins per second', true);
  }
  quota.countJoin();
  if (quota.channelsExceeded(connection.channels.size)) {
    throw new JoinRefusal('ChannelRateLimitReached: Too many channels');
  }
  const token = await channelToken(connection, config);
  const channel = new Channel(core, connection, {
    wireTopic: message.topic,
    joinRef: message.joinRef,
    config,
    token,
  });
  if (config.isPrivate) await authorizeRead(channel);
  return channel;
}

/** The channel's own token when it brings one; the key of the socket otherwise. */
async function channelToken(connection: Connection, config: JoinConfig): Promise<VerifiedToken> {
  const text = config.accessToken;
  try {
    if (text !== null && !isNewKey(text) && text !== connection.token.text) {
      return await verifyToken(connection.core.auth, text);
    }
    const { token } = connection;
    if (token.expiresAtS !== null && token.expiresAtS * 1000 <= Date.now()) {
      throw expiredRefusal(token.expiresAtS, Date.now());
    }
    return token;
  } catch (error) {
    if (error instanceof TokenRefusal) throw new JoinRefusal(error.joinReason);
    throw error;
  }
}

async function authorizeRead(channel: Channel): Promise<void> {
  const denied = `Unauthorized: You do not have permissions to read from this Channel topic: ${channel.name}`;
  try {
    await channel.askRead();
    if (!channel.readsBroadcast && !channel.readsPresence) throw new JoinRefusal(denied);
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    channel.core.log.warn('join policy gave no answer', { topic: channel.name, cause: String(error.cause) });
    if (error.kind === 'policy') throw new JoinRefusal(denied);
    if (error.kind === 'canceled') throw new JoinRefusal(`QueryCanceled: ${String(error.cause)}`);
    throw new JoinRefusal('UnableToConnectToProject: Realtime was unable to connect to the project database');
  }
}

async function replay(channel: Channel, config: JoinConfig): Promise<StoredBroadcast[]> {
  if (config.replay === undefined) return [];
  if (!config.isPrivate) {
    throw new JoinRefusal('UnableToReplayMessages: Replay is not allowed for public channels');
  }
  if (!channel.readsBroadcast) {
    throw new JoinRefusal(
      `Unauthorized: You do not have permissions to read from this Channel topic: ${channel.name}`,
    );
  }
  if (config.replay === 'invalid') {
    throw new JoinRefusal('UnableToReplayMessages: Replay params are not valid');
  }
  try {
    return await channel.core.messages.replay(channel.name, config.replay.sinceMs, config.replay.limit);
  } catch (error) {
    channel.core.log.warn('replay failed', { topic: channel.name, cause: String(error) });
    throw new JoinRefusal('UnableToReplayMessages: Realtime was unable to replay messages');
  }
}

function open(
  channel: Channel,
  reply: (status: 'ok', response: unknown) => void,
  replayed: readonly StoredBroadcast[],
): void {
  const { connection, config, core } = channel;
  if (connection.closed) return; // it went while the policies were asked
  channel.replayedIds = new Set(replayed.map((message) => message.id));
  connection.channels.set(channel.wireTopic, channel);
  connection.becomeUser();
  core.counters.joinsAccepted++;
  channel.open();
  const postgresChanges = config.postgresChanges.map((params) => ({ ...params, id: changeIdOf(params) }));
  reply('ok', { postgres_changes: postgresChanges });
  for (const { id, broadcast } of replayed) {
    const frame = encodeUserBroadcast(channel.vsn, channel.wireTopic, broadcast, { replayed: true, id });
    if (frame) channel.send(frame);
  }
  syncPresence(channel);
  if (channel.closed) return;
  core.changes.add(channel);
  if (config.replicationReady) announceReplicationReady(channel);
}
