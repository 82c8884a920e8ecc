import { randomUUID } from 'node:crypto';
import { isObject } from '../../../kernel/json-object.ts';

/** One entry of `config.postgres_changes`, as the client sent it. */
export type ChangeParams = Readonly<Record<string, unknown>>;

/** `config` of a `phx_join`, validated and defaulted as hosted does: a wrong type counts as the default. */
export interface JoinConfig {
  readonly isPrivate: boolean;
  readonly selfBroadcast: boolean;
  readonly ackBroadcast: boolean;
  readonly replicationReady: boolean;
  /** undefined: not asked for; 'invalid': asked for with parameters that are not integers. */
  readonly replay: { readonly sinceMs: number; readonly limit: number } | 'invalid' | undefined;
  readonly presenceEnabled: boolean;
  readonly presenceKey: string;
  readonly postgresChanges: readonly ChangeParams[];
  readonly accessToken: string | null;
}

const replayLimitMax = 25; // @hard_limit of supabase/realtime
const replayLimitDefault = 10;

export function parseJoin(payload: unknown): JoinConfig {
  const params = objectOf(payload);
  const config = objectOf(params.config);
  const broadcast = objectOf(config.broadcast);
  const presence = objectOf(config.presence);
  const changes = Array.isArray(config.postgres_changes) ? config.postgres_changes : [];
  const userToken = textOf(params.user_token);
  return {
    isPrivate: flag(config.private),
    selfBroadcast: flag(broadcast.self),
    ackBroadcast: flag(broadcast.ack),
    replicationReady: flag(broadcast.replication_ready),
    replay: parseReplay(broadcast.replay),
    presenceEnabled: config.presence !== undefined && flag(presence.enabled ?? false),
    presenceKey: textOf(presence.key) || randomUUID(),
    postgresChanges: changes.filter((entry) => isObject(entry)),
    accessToken: userToken ?? textOf(params.access_token),
  };
}

function parseReplay(value: unknown): JoinConfig['replay'] {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) return 'invalid';
  const sinceMs = value.since ?? 0;
  const limit = value.limit ?? replayLimitDefault;
  // beyond this a Date is invalid (ECMA-262 time range)
  if (!isInteger(sinceMs) || !isInteger(limit) || Math.abs(sinceMs) > 8.64e15) return 'invalid';
  return { sinceMs, limit: Math.max(1, Math.min(limit, replayLimitMax)) };
}

/** hosted's FlexibleBoolean: booleans and the texts "true" and "false" */
function flag(value: unknown): boolean {
  return value === true || (typeof value === 'string' && value.toLowerCase() === 'true');
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function isInteger(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function objectOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}

const idBits = 27; // :erlang.phash2 gives numbers below 2^27

/** The id of a postgres_changes entry: a stable hash of its parameters, equal for equal parameters. */
export function changeIdOf(params: ChangeParams): number {
  const canonical = JSON.stringify(params, Object.keys(params).sort());
  let hash = 0x811c9dc5;
  for (let i = 0; i < canonical.length; i++) hash = Math.imul(hash ^ canonical.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % 2 ** idBits;
}
