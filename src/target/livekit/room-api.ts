import { ParticipantInfo, Room } from '@livekit/protocol';
import { Pool } from 'undici';
import type { LiveKitTarget } from '../../config/target.ts';
import { isObject } from '../../kernel/json-object.ts';
import { signLiveKitToken } from './mint.ts';

/** LiveKit said no. `status` tells why, as for the errors of its SDK. */
export class RoomApiError extends Error {
  override readonly name = 'RoomApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The grant that a call needs; a room's own admin may do everything in it. */
type Grant =
  | { readonly roomAdmin: true; readonly room: string }
  | { readonly roomList: true }
  | { readonly roomCreate: true };

/** Calls in flight, each on a connection of its own: twice what an ejection uses, as several run side by side. */
const connections = 32;

/** A token is signed for so long and used for a tenth of it, so that it is fresh by any clock the server may have. */
const tokenLifeS = 600;
const tokenUseMs = 60_000;

/** Rooms with a token at hand; beyond that they are signed anew. */
const tokensLimit = 1_000;

/**
 * The room service of a LiveKit server, its Twirp calls in JSON. The official SDK signs a token and sets up a fetch for
 * every call, 1.0 ms of CPU together; here tokens and connections are kept, 0.15 ms. 200 seats that are revoked at once
 * wait for all of them.
 */
export class RoomApi {
  readonly #livekit: LiveKitTarget;
  readonly #timeoutMs: number;
  readonly #pool: Pool;
  readonly #tokens = new Map<string, { readonly token: Promise<string>; readonly untilMs: number }>();

  constructor(livekit: LiveKitTarget, timeoutMs: number) {
    this.#livekit = livekit;
    this.#timeoutMs = timeoutMs;
    // connections that are idle hold no process
    this.#pool = new Pool(new URL(livekit.url.replace(/^ws/, 'http')).origin, { connections });
  }

  async participants(room: string): Promise<ParticipantInfo[]> {
    const { participants } = await this.#call('ListParticipants', { roomAdmin: true, room }, { room });
    return listOf(participants).map((each) => ParticipantInfo.fromJson(each, { ignoreUnknownFields: true }));
  }

  async removeParticipant(room: string, identity: string): Promise<void> {
    await this.#call('RemoveParticipant', { roomAdmin: true, room }, { room, identity });
  }

  /** The permission is replaced whole: what is left out is taken away. */
  async setPermission(
    room: string,
    identity: string,
    permission: Readonly<Record<string, boolean>>,
  ): Promise<void> {
    await this.#call('UpdateParticipant', { roomAdmin: true, room }, { room, identity, permission });
  }

  async rooms(): Promise<Room[]> {
    const { rooms } = await this.#call('ListRooms', { roomList: true }, {});
    return listOf(rooms).map((each) => Room.fromJson(each, { ignoreUnknownFields: true }));
  }

  async deleteRoom(room: string): Promise<void> {
    await this.#call('DeleteRoom', { roomCreate: true }, { room });
  }

  /** @throws RoomApiError, TimeoutError, or the TypeError of a connection that failed: what the SDK would throw */
  async #call(method: string, grant: Grant, body: object): Promise<Record<string, unknown>> {
    const authorization = `Bearer ${await this.#token(grant)}`;
    let status: number;
    let text: string;
    try {
      const response = await this.#pool.request({
        method: 'POST',
        path: `/twirp/livekit.RoomService/${method}`,
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      status = response.statusCode;
      text = await response.body.text();
    } catch (error) {
      if (error instanceof DOMException) throw error;
      throw new TypeError('fetch failed', { cause: error });
    }
    // it may have been the clock it was signed by
    if (status === 401) this.#tokens.clear();
    if (status !== 200) throw new RoomApiError(status, messageOf(text));
    return objectOf(text);
  }

  #token(grant: Grant): Promise<string> {
    const key = 'room' in grant ? `room ${grant.room}` : Object.keys(grant).join();
    const nowMs = performance.now();
    const kept = this.#tokens.get(key);
    if (kept !== undefined && kept.untilMs > nowMs) return kept.token;
    if (this.#tokens.size >= tokensLimit) this.#tokens.clear();
    const nowS = Math.floor(Date.now() / 1000);
    const { apiKey, apiSecret } = this.#livekit;
    const claims = { iss: apiKey, nbf: nowS, exp: nowS + tokenLifeS, video: grant };
    const token = signLiveKitToken(claims, apiSecret);
    this.#tokens.set(key, { token, untilMs: nowMs + tokenUseMs });
    return token;
  }
}

/** The `msg` of a Twirp error, or the text as it is: the middleware in front answers without JSON. */
function messageOf(text: string): string {
  try {
    const { msg } = objectOf(text);
    return typeof msg === 'string' ? msg : text;
  } catch {
    return text;
  }
}

/** @throws SyntaxError when it is no JSON */
function objectOf(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  return isObject(value) ? value : {};
}

type JsonObject = Parameters<typeof ParticipantInfo.fromJson>[0];

function listOf(value: unknown): JsonObject[] {
  // its elements came from JSON.parse, and fromJson refuses what does not fit
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}
