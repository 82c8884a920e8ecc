import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type RenditionName, renditionNames } from './renditions.ts';
import { loopSegments, segmentS } from './timeline.ts';

const tsPacketBytes = 188;

/** The bytes of every segment of the loop. */
export type SegmentMedia = Readonly<Record<RenditionName, readonly Buffer[]>>;

/**
 * Reads the shipped segments and pads each up to `bitsPerS` of its rendition.
 * @param bitsPerS null: as they are, 0.1–0.14 Mbit/s
 */
export async function loadSegmentMedia(
  mediaDir: string,
  bitsPerS: Readonly<Record<RenditionName, number>> | null,
): Promise<SegmentMedia> {
  const load = (name: RenditionName) =>
    Promise.all(
      Array.from({ length: loopSegments }, async (_, i) => {
        const bytes = await readFile(path.join(mediaDir, `${name}-${i}.mpegts`));
        return bitsPerS === null ? bytes : padToBitrate(bytes, bitsPerS[name]);
      }),
    );
  const [low, high] = await Promise.all(renditionNames.map(load));
  // two names were loaded
  return { low: low as Buffer[], high: high as Buffer[] };
}

/**
 * Fills a transport stream up to a bit rate with null packets (PID 0x1FFF), which every demuxer throws away: the same
 * frames, more bytes (hls.md III.5 counted them). A segment that is larger already stays as it is.
 */
export function padToBitrate(segment: Buffer, bitsPerS: number): Buffer {
  const missingBytes = (bitsPerS * segmentS) / 8 - segment.length;
  const packets = Math.floor(missingBytes / tsPacketBytes);
  if (packets <= 0) return segment;
  const padding = Buffer.alloc(packets * tsPacketBytes, 0xff);
  for (let at = 0; at < padding.length; at += tsPacketBytes) {
    // sync byte, PID 0x1FFF, payload only, continuity counter 0 (undefined for null packets)
    padding.writeUInt32BE(0x47_1f_ff_10, at);
  }
  return Buffer.concat([segment, padding]);
}

/** The highest bit rate of any segment of a rendition: what `BANDWIDTH` means. */
export function peakBitsPerS(segments: readonly Buffer[]): number {
  return Math.ceil((Math.max(...segments.map((s) => s.length)) * 8) / segmentS);
}
