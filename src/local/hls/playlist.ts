import { type RenditionName, renditionNames, renditions } from './renditions.ts';
import { type LiveWindow, programDateTimeMs, segmentS, startsLoop } from './timeline.ts';

/** Where faults change what a media playlist says; the healthy one changes nothing. */
export interface PlaylistShape {
  readonly targetDurationS: number;
  readonly withDiscontinuityTags: boolean;
  /** Duration told of the newest segment. */
  readonly lastSegmentS: number;
}

export const healthyShape: PlaylistShape = {
  targetDurationS: segmentS,
  withDiscontinuityTags: true,
  lastSegmentS: segmentS,
};

/** The media playlist of one rendition (RFC 8216). Segment URIs hold the sequence number, so one never changes its meaning. */
export function mediaPlaylist(
  epochMs: number,
  window: LiveWindow,
  shape: PlaylistShape = healthyShape,
): string {
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    `#EXT-X-TARGETDURATION:${shape.targetDurationS}`,
    `#EXT-X-MEDIA-SEQUENCE:${window.first}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${window.discontinuitySequence}`,
    '#EXT-X-INDEPENDENT-SEGMENTS',
  ];
  for (let sequence = window.first; sequence <= window.last; sequence++) {
    if (startsLoop(sequence) && shape.withDiscontinuityTags) lines.push('#EXT-X-DISCONTINUITY');
    const seconds = sequence === window.last ? shape.lastSegmentS : segmentS;
    lines.push(
      `#EXT-X-PROGRAM-DATE-TIME:${new Date(programDateTimeMs(epochMs, sequence)).toISOString()}`,
      `#EXTINF:${seconds.toFixed(3)},`,
      `${sequence}.ts`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** @param peakBitsPerS of each rendition: its largest segment over its duration */
export function masterPlaylist(peakBitsPerS: Readonly<Record<RenditionName, number>>): string {
  const lines = ['#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-INDEPENDENT-SEGMENTS'];
  for (const name of renditionNames) {
    const { resolution, codecs } = renditions[name];
    lines.push(
      `#EXT-X-STREAM-INF:BANDWIDTH=${peakBitsPerS[name]},RESOLUTION=${resolution},FRAME-RATE=25.000,CODECS="${codecs}"`,
      `${name}/playlist.m3u8`,
    );
  }
  return `${lines.join('\n')}\n`;
}
