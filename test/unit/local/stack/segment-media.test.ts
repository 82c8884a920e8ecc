import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../../src/kernel/package-root.ts';
import { loadSegmentMedia, padToBitrate, peakBitsPerS } from '../../../../src/local/hls/segment-media.ts';

const mediaDir = path.join(packageRoot, 'src', 'local', 'hls-media');

/** Packets of a transport stream, by PID. */
function packetsByPid(segment: Buffer): Map<number, number> {
  const counts = new Map<number, number>();
  for (let at = 0; at < segment.length; at += 188) {
    expect(segment[at]).toBe(0x47);
    const pid = segment.readUInt16BE(at + 1) & 0x1fff;
    counts.set(pid, (counts.get(pid) ?? 0) + 1);
  }
  return counts;
}

test('padding reaches the bit rate with null packets only', async () => {
  const { low } = await loadSegmentMedia(mediaDir, null);
  const [plain] = low as [Buffer];
  const padded = padToBitrate(plain, 2_000_000);
  expect(padded.length % 188).toBe(0);
  expect(padded.length).toBeGreaterThan(500_000 - 188);
  expect(padded.length).toBeLessThanOrEqual(500_000);
  const [before, after] = [packetsByPid(plain), packetsByPid(padded)];
  after.delete(0x1fff);
  expect(after).toEqual(before);
});

test('a segment that is larger than asked for stays whole', async () => {
  const { high } = await loadSegmentMedia(mediaDir, { low: 1, high: 1 });
  expect(peakBitsPerS(high)).toBeGreaterThan(100_000);
  for (const segment of high) expect(segment.length % 188).toBe(0);
});
