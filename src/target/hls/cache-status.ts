/** What the cache in front of an origin did, in one vocabulary for all CDNs (hls.md III.3). */
type CacheState = 'hit' | 'miss' | 'expired' | 'stale' | 'revalidated' | 'bypass' | 'unknown';

export interface CacheStatus {
  readonly state: CacheState;
  /** The edge location, where a header names it. */
  readonly pop: string | undefined;
  /** Seconds the object has been in a cache (`Age`). */
  readonly ageS: number | undefined;
  /** The request waited for another one's fetch of the same object (RFC 9211 `collapsed`). */
  readonly collapsed: boolean;
  /** Which header said so. */
  readonly source: string | undefined;
}

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

interface Reading {
  readonly state: CacheState;
  readonly source: string;
  readonly pop?: string | undefined;
  readonly collapsed?: boolean;
}

/** Most specific first: a standard header is believed before a vendor's, a vendor's own before the shared X-Cache. */
const readers: ReadonlyArray<(headers: Headers) => Reading | undefined> = [
  readStandard,
  readCloudflare,
  readBunny,
  readFastly,
  readCloudFront,
  readAkamai,
  readXCache,
  readServerTiming,
];

/** Reads the cache's verdict from response headers (names in lower case, as undici gives them). */
export function cacheStatusOf(headers: Headers): CacheStatus {
  const age = Number(one(headers, 'age'));
  const ageS = one(headers, 'age') !== undefined && Number.isFinite(age) ? age : undefined;
  for (const read of readers) {
    const reading = read(headers);
    if (!reading) continue;
    return {
      state: reading.state,
      pop: reading.pop,
      ageS,
      collapsed: reading.collapsed ?? false,
      source: reading.source,
    };
  }
  return { state: 'unknown', pop: undefined, ageS, collapsed: false, source: undefined };
}

/** RFC 9211: a list from the origin to the client; the last member is the cache nearest to us. */
function readStandard(headers: Headers): Reading | undefined {
  const last = lastOf(one(headers, 'cache-status'));
  if (last === undefined) return undefined;
  const [name = '', ...parameters] = last.split(';').map((part) => part.trim());
  const forward = parameters.find((part) => part.startsWith('fwd='))?.slice(4);
  const collapsed = parameters.some((part) => /^collapsed(=\?1)?$/.test(part));
  const states: Record<string, CacheState> = {
    bypass: 'bypass',
    method: 'bypass',
    request: 'bypass',
    'uri-miss': 'miss',
    'vary-miss': 'miss',
    miss: 'miss',
    partial: 'miss',
    stale: parameters.includes('fwd-status=304') ? 'revalidated' : 'expired',
  };
  const isHit = parameters.some((part) => /^hit(=\?1)?$/.test(part));
  const isStale = isHit && parameters.some((part) => /^ttl=-/.test(part));
  const state = isHit ? (isStale ? 'stale' : 'hit') : (states[forward ?? ''] ?? 'unknown');
  return { state, pop: name.replace(/"/g, '') || undefined, collapsed, source: 'cache-status' };
}

/** DYNAMIC: not cached at all, which for a playlist or segment sends every viewer to the origin. */
function readCloudflare(headers: Headers): Reading | undefined {
  const value = one(headers, 'cf-cache-status')?.toUpperCase();
  if (value === undefined) return undefined;
  const states: Record<string, CacheState> = {
    HIT: 'hit',
    MISS: 'miss',
    EXPIRED: 'expired',
    STALE: 'stale',
    UPDATING: 'stale',
    REVALIDATED: 'revalidated',
    BYPASS: 'bypass',
    DYNAMIC: 'bypass',
  };
  const pop = one(headers, 'cf-ray')?.split('-')[1];
  return { state: states[value] ?? 'unknown', pop, source: 'cf-cache-status' };
}

/** Perma-Cache HIT with CDN-Cache MISS: Bunny's own storage answered, the origin was not touched. */
function readBunny(headers: Headers): Reading | undefined {
  const value = one(headers, 'cdn-cache');
  if (value === undefined) return undefined;
  const permanent = one(headers, 'perma-cache')?.toUpperCase() === 'HIT';
  const state = permanent ? 'hit' : wordState(value);
  const pop = /^BunnyCDN-([A-Z0-9]+)-/i.exec(one(headers, 'server') ?? '')?.[1];
  return { state, pop, source: permanent ? 'perma-cache' : 'cdn-cache' };
}

/** `X-Cache: MISS, HIT` is shield, edge: any entry other than MISS means that the origin was not contacted. */
function readFastly(headers: Headers): Reading | undefined {
  const served = one(headers, 'x-served-by');
  const cache = one(headers, 'x-cache');
  if (served === undefined || cache === undefined || !/cache-/.test(served)) return undefined;
  const words = cache.split(',').map((word) => wordState(word));
  const state = words.find((word) => word !== 'miss' && word !== 'unknown') ?? words.at(-1) ?? 'unknown';
  return { state, pop: lastOf(served)?.split('-').at(-1), source: 'x-cache' };
}

function readCloudFront(headers: Headers): Reading | undefined {
  const value = one(headers, 'x-cache');
  if (value === undefined || !/from cloudfront$/i.test(value)) return undefined;
  const word = value.split(' ')[0]?.toLowerCase() ?? '';
  const states: Record<string, CacheState> = {
    hit: 'hit',
    miss: 'miss',
    refreshhit: 'revalidated',
    originshieldhit: 'hit',
    lambdagenerated: 'bypass',
    functiongenerated: 'bypass',
  };
  return { state: states[word] ?? 'unknown', pop: one(headers, 'x-amz-cf-pop'), source: 'x-cache' };
}

/** `Hit from child, Miss from parent`: the child is the edge, the parent a tier before the origin. */
function readAkamai(headers: Headers): Reading | undefined {
  const value = one(headers, 'akamai-cache-status');
  if (value === undefined) return undefined;
  return {
    state: /\bhit from\b/i.test(value) ? 'hit' : wordState(value),
    pop: undefined,
    source: 'akamai-cache-status',
  };
}

/** Akamai with debug headers, Azure (`TCP_HIT`), Google Media CDN and nginx configured so (`x-cache-status`), proxies. */
function readXCache(headers: Headers): Reading | undefined {
  const source = ['x-cache-status', 'x-cache'].find((name) => one(headers, name) !== undefined);
  if (source === undefined) return undefined;
  return { state: wordState(lastOf(one(headers, source)) ?? ''), pop: undefined, source };
}

function readServerTiming(headers: Headers): Reading | undefined {
  const found = /cdn-cache\s*;\s*desc="?(\w+)/i.exec(one(headers, 'server-timing') ?? '');
  if (!found) return undefined;
  return { state: wordState(found[1] ?? ''), pop: undefined, source: 'server-timing' };
}

function wordState(text: string): CacheState {
  const word = text.trim().toUpperCase().replace(/^TCP_/, '');
  if (/^(REFRESH_?HIT|REVALIDATED|REFRESH_UNMODIFIED)/.test(word)) return 'revalidated';
  if (/^(EXPIRED|REFRESH_?MISS|REFRESH_MODIFIED)/.test(word)) return 'expired';
  if (/^(STALE|UPDATING|OFFLINE_HIT)/.test(word)) return 'stale';
  if (/^(HIT|MEM_HIT|REMOTE_HIT|PARTIAL_HIT|IMS_HIT)/.test(word)) return 'hit';
  if (/^(MISS|REMOTE_MISS)/.test(word)) return 'miss';
  if (/^(BYPASS|PASS|DYNAMIC|CONFIG_NOCACHE|DENIED)/.test(word)) return 'bypass';
  return 'unknown';
}

function one(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

function lastOf(list: string | undefined): string | undefined {
  return list?.split(',').at(-1)?.trim();
}
