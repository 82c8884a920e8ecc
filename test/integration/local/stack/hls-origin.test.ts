import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../../src/kernel/package-root.ts';
import { type HlsOrigin, startHlsOrigin } from '../../../../src/local/hls/origin.ts';

// far enough in the past that segments have left the window and the loop has gone round
const ageMs = 100_000;

let origin: HlsOrigin;
let base: string;

beforeEach(async () => {
  origin = await startHlsOrigin({
    host: '127.0.0.1',
    port: 0,
    mediaDir: path.join(packageRoot, 'src', 'local', 'hls-media'),
    epochMs: Date.now() - ageMs,
    bitsPerS: null,
  });
  base = origin.url.replace('master.m3u8', '');
});

afterEach(() => origin.stop());

const playlist = async (name = 'low') => (await fetch(`${base}${name}/playlist.m3u8`)).text();
const sequenceOf = (text: string) => Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1]);
const urisOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('the healthy stream', () => {
  test('every segment listed by every rendition is there, with its type and for ever cacheable', async () => {
    const master = await (await fetch(origin.url)).text();
    const variants = urisOf(master);
    expect(variants).toHaveLength(2);
    for (const variant of variants) {
      const url = new URL(variant, origin.url);
      for (const uri of urisOf(await (await fetch(url)).text())) {
        const response = await fetch(new URL(uri, url));
        expect(response.status).toBe(200);
        expect(response.headers.get('content-type')).toBe('video/mp2t');
        expect(response.headers.get('cache-control')).toContain('immutable');
        expect((await response.bytes())[0]).toBe(0x47);
      }
    }
  });

  test('a playlist has its type, a short life, CORS, gzip where asked for, and is not sent twice', async () => {
    const url = `${base}low/playlist.m3u8`;
    const plain = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(plain.headers.get('content-type')).toBe('application/vnd.apple.mpegurl');
    expect(plain.headers.get('cache-control')).toBe('public, max-age=1');
    expect(plain.headers.get('access-control-allow-origin')).toBe('*');
    const zipped = await fetch(url, { headers: { 'accept-encoding': 'gzip' } });
    expect(zipped.headers.get('content-encoding')).toBe('gzip');
    expect(await zipped.text()).toContain('#EXTM3U');
    const master = await fetch(origin.url);
    const again = await fetch(origin.url, { headers: { 'if-none-match': master.headers.get('etag') ?? '' } });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
  });

  test('what just left the playlist is there, what is gone or not yet there is 404 and never cached', async () => {
    const first = sequenceOf(await playlist());
    expect((await fetch(`${base}low/${first - 2}.ts`)).status).toBe(200);
    for (const sequence of [first - 20, first + 50]) {
      const response = await fetch(`${base}low/${sequence}.ts`);
      expect(response.status).toBe(404);
      expect(response.headers.get('cache-control')).toBe('no-store');
    }
  });

  test('ranges, HEAD, and what it does not serve', async () => {
    const url = `${base}low/${sequenceOf(await playlist())}.ts`;
    const part = await fetch(url, { headers: { range: 'bytes=188-375' } });
    expect(part.status).toBe(206);
    expect((await part.bytes()).length).toBe(188);
    expect((await fetch(url, { headers: { range: 'bytes=99999999-' } })).status).toBe(416);
    const head = await fetch(url, { method: 'HEAD' });
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(188);
    expect(await head.text()).toBe('');
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    for (const bad of [
      'low/../../etc/passwd',
      'none/playlist.m3u8',
      'low/1e3.ts',
      `low/${'9'.repeat(2000)}.ts`,
    ]) {
      expect((await fetch(`${base}${bad}`)).status).toBeGreaterThanOrEqual(400);
    }
  });
});

describe('each fault shows where it should, and is gone when cleared', () => {
  test('a frozen playlist stays what it was while the stream goes on', async () => {
    origin.inject({ kind: 'freeze-playlist' });
    const before = sequenceOf(await playlist());
    await new Promise((resolve) => setTimeout(resolve, 2100));
    expect(sequenceOf(await playlist())).toBe(before);
    origin.clear('freeze-playlist');
    expect(sequenceOf(await playlist())).toBeGreaterThan(before);
  });

  test('errors and slowness hit only what they are aimed at', async () => {
    const segment = `${base}low/${sequenceOf(await playlist())}.ts`;
    origin.inject({ kind: 'server-error', scope: 'segment', status: 503 });
    expect((await fetch(segment)).status).toBe(503);
    expect((await fetch(`${base}low/playlist.m3u8`)).status).toBe(200);
    origin.clear();
    expect((await fetch(segment)).status).toBe(200);
    origin.inject({ kind: 'slow-first-byte', scope: 'playlist', delayMs: 400 });
    const began = performance.now();
    await playlist();
    expect(performance.now() - began).toBeGreaterThanOrEqual(390);
  });

  test('two edges out of step go back', async () => {
    origin.inject({ kind: 'regress-sequence', segments: 3 });
    const seen = [sequenceOf(await playlist()), sequenceOf(await playlist()), sequenceOf(await playlist())];
    expect(seen.some((sequence, i) => i > 0 && sequence < (seen[i - 1] ?? 0))).toBe(true);
  });

  test('a segment that is listed and missing, and one that ends early', async () => {
    const uris = urisOf(await playlist());
    origin.inject({ kind: 'missing-segment', nth: 2 });
    const statuses = await Promise.all(uris.map(async (uri) => (await fetch(`${base}low/${uri}`)).status));
    expect(statuses.filter((status) => status === 404)).toHaveLength(3);
    origin.clear();
    origin.inject({ kind: 'short-segment' });
    await expect(fetch(`${base}low/${uris[0]}`).then((response) => response.bytes())).rejects.toThrow();
  });

  test('what the playlist says can be wrong in each way', async () => {
    origin.inject({ kind: 'truncated-playlist' });
    expect(await playlist()).toMatch(/[^\n]$/);
    origin.clear();
    origin.inject({ kind: 'target-duration', seconds: 4 });
    expect(await playlist()).toContain('#EXT-X-TARGETDURATION:4');
    origin.inject({ kind: 'over-long-segment', seconds: 3.5 });
    expect(await playlist()).toContain('#EXTINF:3.500,');
    origin.inject({ kind: 'drop-discontinuity' });
    expect(await playlist()).not.toContain('#EXT-X-DISCONTINUITY\n');
    origin.inject({ kind: 'wrong-content-type' });
    expect((await fetch(`${base}low/playlist.m3u8`)).headers.get('content-type')).toBe('text/plain');
    origin.clear();
    const healthy = await playlist();
    expect(healthy).toContain('#EXT-X-TARGETDURATION:2');
    expect(healthy).toContain('#EXT-X-DISCONTINUITY\n');
  });
});
