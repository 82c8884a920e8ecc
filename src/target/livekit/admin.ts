import { type ParticipantInfo, ParticipantInfo_Kind, ParticipantInfo_State } from '@livekit/protocol';
import type { Target } from '../../config/target.ts';
import { classifyLiveKitError, LiveKitError } from './livekit-error.ts';
import { RoomApi } from './room-api.ts';

/** One participant as the server lists it: the independent witness of who is in a room. */
export interface Occupant {
  readonly identity: string;
  readonly sid: string;
  /** JOINING, JOINED (signal only), ACTIVE (media connected) or DISCONNECTED. */
  readonly state: string;
  readonly canPublish: boolean;
  readonly canPublishData: boolean;
  readonly canSubscribe: boolean;
  /** Joined by a person's client; ingress, egress, SIP and agents are the server's own. */
  readonly isPerson: boolean;
  /** What its token said about it: nobody in the room can write there without the right to. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly tracks: number;
}

/** The calls of LiveKit's admin API that seats need. Every failure is a LiveKitError. */
export interface LiveKitAdmin {
  readonly url: string;
  /** Empty for a room that does not exist. */
  occupants(room: string): Promise<Occupant[]>;
  /** `absent` means not in the room now; it says nothing about coming back. */
  remove(room: string, identity: string): Promise<'removed' | 'absent'>;
  /** Takes the right to publish media and data; whoever it is stays and may watch. Not said again on a rejoin. */
  silence(room: string, identity: string): Promise<'silenced' | 'absent'>;
  /** Names of all rooms there are now. */
  rooms(): Promise<string[]>;
  deleteRoom(room: string): Promise<'deleted' | 'absent'>;
}

/**
 * Two seconds: the slowest call seen under load took 1.1 s, and the SDK's own 10 s would hold an ejection up
 * behind a frozen server five times as long.
 */
const requestTimeoutMs = 2_000;

export function liveKitAdmin(livekit: NonNullable<Target['livekit']>): LiveKitAdmin {
  // retries are the caller's, who knows what may be repeated
  const api = new RoomApi(livekit, requestTimeoutMs);

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
      const participants = await call('listParticipants', api.participants(room));
      return (participants ?? []).map(occupantOf);
    },
    async remove(room, identity) {
      const done = await call(
        'removeParticipant',
        api.removeParticipant(room, identity).then(() => true),
      );
      return done === null ? 'absent' : 'removed';
    },
    async silence(room, identity) {
      // the permission is replaced whole: what is left out is taken away too
      const permission = { canSubscribe: true, canPublish: false, canPublishData: false };
      const done = await call(
        'updateParticipant',
        api.setPermission(room, identity, permission).then(() => true),
      );
      return done === null ? 'absent' : 'silenced';
    },
    async rooms() {
      const rooms = await call('listRooms', api.rooms());
      return (rooms ?? []).map(({ name }) => name);
    },
    async deleteRoom(room) {
      const done = await call(
        'deleteRoom',
        api.deleteRoom(room).then(() => true),
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
    canPublishData: info.permission?.canPublishData ?? false,
    canSubscribe: info.permission?.canSubscribe ?? false,
    isPerson: info.kind === ParticipantInfo_Kind.STANDARD,
    attributes: info.attributes,
    tracks: info.tracks.length,
  };
}
