import { randomBytes } from 'node:crypto';
import type { Channel } from './channel.ts';

export type PresenceMeta = Readonly<Record<string, unknown>> & { readonly phx_ref: string };
/** As on the wire: `{key: {metas: [{phx_ref, …}]}}`. */
export type PresenceState = Record<string, { metas: PresenceMeta[] }>;
export interface PresenceDiff {
  readonly joins: PresenceState;
  readonly leaves: PresenceState;
}

/** Who is present on one topic: under each key the metas of the channels that track it (Phoenix.Presence). */
export class Presence {
  readonly #metas = new Map<string, Map<Channel, PresenceMeta>>();

  /** Tracks or updates; an update leaves the old meta and joins the new one, which names the old in `phx_ref_prev`. */
  track(channel: Channel, key: string, payload: Readonly<Record<string, unknown>>): PresenceDiff {
    let ofKey = this.#metas.get(key);
    if (!ofKey) {
      ofKey = new Map();
      this.#metas.set(key, ofKey);
    }
    const before = ofKey.get(channel);
    const meta: PresenceMeta = {
      ...payload,
      phx_ref: newRef(),
      ...(before ? { phx_ref_prev: before.phx_ref } : {}),
    };
    ofKey.set(channel, meta);
    return { joins: one(key, meta), leaves: before ? one(key, before) : empty() };
  }

  /** null when the channel did not track the key. */
  untrack(channel: Channel, key: string): PresenceDiff | null {
    const ofKey = this.#metas.get(key);
    const meta = ofKey?.get(channel);
    if (!ofKey || !meta) return null;
    ofKey.delete(channel);
    if (ofKey.size === 0) this.#metas.delete(key);
    return { joins: empty(), leaves: one(key, meta) };
  }

  state(): PresenceState {
    const state = empty();
    for (const [key, metas] of this.#metas) state[key] = { metas: [...metas.values()] };
    return state;
  }
}

function one(key: string, meta: PresenceMeta): PresenceState {
  const state = empty();
  state[key] = { metas: [meta] };
  return state;
}

/** Without a prototype: a client chooses the keys, and one of them may be `__proto__`. */
function empty(): PresenceState {
  return Object.create(null) as PresenceState; // an object without own keys fits any record type
}

function newRef(): string {
  return randomBytes(12).toString('base64url');
}
