import { expect, test } from 'vitest';
import { cacheStatusOf } from '../../../../src/target/hls/cache-status.ts';

// header families and their reading: hls.md III.3
test.each([
  ['standard hit', { 'cache-status': 'origin; fwd=uri-miss, edge-fra; hit; ttl=3' }, 'hit', 'edge-fra'],
  ['standard miss', { 'cache-status': 'edge; fwd=uri-miss; stored' }, 'miss', 'edge'],
  ['standard stale hit', { 'cache-status': 'edge; hit; ttl=-4' }, 'stale', 'edge'],
  ['standard expired', { 'cache-status': 'edge; fwd=stale; fwd-status=200' }, 'expired', 'edge'],
  ['standard revalidated', { 'cache-status': 'edge; fwd=stale; fwd-status=304' }, 'revalidated', 'edge'],
  ['standard bypass', { 'cache-status': 'edge; fwd=bypass' }, 'bypass', 'edge'],
  ['Cloudflare hit', { 'cf-cache-status': 'HIT', 'cf-ray': '8f2a-FRA' }, 'hit', 'FRA'],
  ['Cloudflare dynamic: every viewer hits the origin', { 'cf-cache-status': 'DYNAMIC' }, 'bypass', undefined],
  ['Cloudflare updating', { 'cf-cache-status': 'UPDATING' }, 'stale', undefined],
  ['Cloudflare expired', { 'cf-cache-status': 'EXPIRED' }, 'expired', undefined],
  ['Cloudflare none', { 'cf-cache-status': 'NONE/UNKNOWN' }, 'unknown', undefined],
  ['CloudFront hit', { 'x-cache': 'Hit from cloudfront', 'x-amz-cf-pop': 'FRA56-P4' }, 'hit', 'FRA56-P4'],
  ['CloudFront refresh', { 'x-cache': 'RefreshHit from cloudfront' }, 'revalidated', undefined],
  ['CloudFront error', { 'x-cache': 'Error from cloudfront' }, 'unknown', undefined],
  ['CloudFront function', { 'x-cache': 'FunctionGenerated from cloudfront' }, 'bypass', undefined],
  ['Bunny miss', { 'cdn-cache': 'MISS', server: 'BunnyCDN-DE1-723' }, 'miss', 'DE1'],
  ['Bunny permanent storage', { 'cdn-cache': 'MISS', 'perma-cache': 'HIT' }, 'hit', undefined],
  [
    'Fastly: the shield had it',
    { 'x-cache': 'HIT, MISS', 'x-served-by': 'cache-iad-x-IAD, cache-fra-y-FRA' },
    'hit',
    'FRA',
  ],
  ['Fastly miss', { 'x-cache': 'MISS, MISS', 'x-served-by': 'cache-a-IAD, cache-b-FRA' }, 'miss', 'FRA'],
  ['Akamai configured', { 'akamai-cache-status': 'Miss from child, Hit from parent' }, 'hit', undefined],
  ['Akamai miss', { 'akamai-cache-status': 'Miss from child, Miss from parent' }, 'miss', undefined],
  ['Akamai debug header', { 'x-cache': 'TCP_MEM_HIT from a23-1 (AkamaiGHost/11)' }, 'hit', undefined],
  ['Akamai refresh', { 'x-cache': 'TCP_REFRESH_HIT from a23-1' }, 'revalidated', undefined],
  ['Azure', { 'x-cache': 'TCP_HIT', 'x-azure-ref': 'abc' }, 'hit', undefined],
  ['nginx', { 'x-cache-status': 'EXPIRED' }, 'expired', undefined],
  ['Server-Timing', { 'server-timing': 'cdn-cache; desc=HIT, edge; dur=1' }, 'hit', undefined],
  ['nothing', { 'content-type': 'text/plain' }, 'unknown', undefined],
])('%s', (_name, headers, state, pop) => {
  const status = cacheStatusOf(headers as Record<string, string>);
  expect(status.state).toBe(state);
  expect(status.pop).toBe(pop);
});

test('age and collapsed requests are read; the standard header wins over a vendor', () => {
  const status = cacheStatusOf({
    'cache-status': 'edge; fwd=uri-miss; collapsed',
    'cf-cache-status': 'HIT',
    age: '12',
  });
  expect(status).toMatchObject({ state: 'miss', collapsed: true, ageS: 12, source: 'cache-status' });
  expect(cacheStatusOf({ age: 'soon' }).ageS).toBeUndefined();
});
