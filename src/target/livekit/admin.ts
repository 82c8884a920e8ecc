import { type ParticipantInfo, ParticipantInfo_State } from '@livekit/protocol';
import { RoomServiceClient } from 'livekit-server-sdk';
import type { Target } from '../../config/target.ts';
import { classifyLiveKitError, LiveKitError } from './livekit-error.ts';

/** One participant as the server lists it: the independent witness of who is in a room. */
export interface Occupant {
  readonly identity: string;
  readonly sid: string;
  /** JOINING, JOINED (signal only), ACTIVE (media connected) or DISCONNECTED. */
  readonly state: string;
  readonly canPublish: boolean;
  readonly canSubscribe: boolean;
  readonly tracks: number;
}

/** The calls of LiveKit's admin API that seats need. Every failure is a LiveKitError. */
export interface LiveKitAdmin {
  readonly url: string;
  /** Empty for a room that does not exist. */
  occupants(room: string): Promise<Occupant[]>;
  /** `absent` means not in the room now; it says nothing about coming back. */
  remove(room: string, identity: string): Promise<'removed' | 'absent'>;
  deleteRoom(room: string): Promise<'deleted' | 'absent'>;
}

/**
 * Two seconds: the slowest call seen under load took 1.1 s, and the SDK's own 10 s would hold an ejection up
 * behind a frozen server five times as long.
 */
const requestTimeoutS = 2;

export function liveKitAdmin(livekit: NonNullable<Target['livekit']>): LiveKitAdmin {
  const client = new RoomServiceClient(livekit.url, livekit.apiKey, livekit.apiSecret.reveal(), {
    requestTimeout: requestTimeoutS,
    // retries are the caller's, who knows what may be repeated; the SDK's own write to the console
    failover: false,
  });

  /** `absent` comes back as null, everything else that fails is thrown. */
  async function call<T>(what: string, work: Promise<T>): Promise<T | null> {
    try {
      return await work;
    } catch (error) {
      const failure = classifyLiveKitError(error);
      if (failure.kind === 'absent') return null;
      throw new LiveKitError(failure, what, livekit.url);
    }
  }

  return {
    url: livekit.url,
    async occupants(room) {
      const participants = await call('listParticipants', client.listParticipants(room));
      return (participants ?? []).map(occupantOf);
    },
    async remove(room, identity) {
      const done = await call(
        'removeParticipant',
        client.removeParticipant(room, identity).then(() => true),
      );
      return done === null ? 'absent' : 'removed';
    },
    async deleteRoom(room) {
      const done = await call(
        'deleteRoom',
        client.deleteRoom(room).then(() => true),
      );
      return done === null ? 'absent' : 'deleted';
    },
  };
}

/**
 * The user an identity in a room belongs to: it is their id or one of its aliases. `/rtc?publish=x` joins as `id#x`
 * with the same token, and removing `id` leaves it in the room.
 */
export function userOfIdentity(identity: string): string {
  return identity.split('#', 1)[0] ?? '';
}

/** Whether an identity in a room is this user, under their id or an alias of it. */
export function isIdentityOf(identity: string, userId: string): boolean {
  return userOfIdentity(identity) === userId;
}

function occupantOf(info: ParticipantInfo): Occupant {
  return {
    identity: info.identity,
    sid: info.sid,
    state: ParticipantInfo_State[info.state] ?? String(info.state),
    canPublish: info.permission?.canPublish ?? false,
    canSubscribe: info.permission?.canSubscribe ?? false,
    tracks: info.tracks.length,
  };
}
