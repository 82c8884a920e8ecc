import type { Logger } from '../../../kernel/log.ts';
import type { Authenticator } from '../context.ts';
import type { ChangeSubscriptions } from './changes/change-subscriptions.ts';
import type { MessageStore } from './message-store.ts';
import type { Outbox } from './outbox.ts';
import type { PolicyChecker } from './policies.ts';
import type { Quota } from './quota.ts';
import type { Topics } from './topics.ts';

/** Counters since the start; gauges are asked of their owners. */
export interface RealtimeCounters {
  connectionsAccepted: number;
  connectionsRefused: number;
  joinsAccepted: number;
  joinsRefused: number;
  framesReceived: number;
  badFrames: number;
  broadcastsReceived: number;
  /** Broadcast frames handed to sockets, one per receiver. */
  broadcastsDelivered: number;
  slowReadersCut: number;
  idleConnectionsClosed: number;
  channelsShutDown: number;
}

export function zeroCounters(): RealtimeCounters {
  return {
    connectionsAccepted: 0,
    connectionsRefused: 0,
    joinsAccepted: 0,
    joinsRefused: 0,
    framesReceived: 0,
    badFrames: 0,
    broadcastsReceived: 0,
    broadcastsDelivered: 0,
    slowReadersCut: 0,
    idleConnectionsClosed: 0,
    channelsShutDown: 0,
  };
}

/** What sockets, channels and the REST routes share. */
export interface RealtimeCore {
  readonly auth: Authenticator;
  readonly log: Logger;
  readonly quota: Quota;
  readonly topics: Topics;
  readonly policies: PolicyChecker;
  readonly messages: MessageStore;
  readonly changes: ChangeSubscriptions;
  readonly outbox: Outbox;
  readonly counters: RealtimeCounters;
  /** `users`: open sockets that have joined at least one channel, which is what the connection limit counts. */
  readonly gauges: { users: number };
  /** Whether the replication stream flows. */
  replicationReady(): boolean;
}
