import * as hls from 'hls-parser';
import { messageOf } from '../../kernel/errors.ts';

// lenient: a player plays what breaks a rule, and the rules are judged by the probe; and nothing on the console
hls.setOptions({ strictMode: false, silent: true });

interface Variant {
  readonly url: string;
  readonly bandwidth: number;
}

export interface MasterPlaylist {
  readonly kind: 'master';
  readonly variants: readonly Variant[];
}

export interface MediaSegment {
  /** Media sequence number. */
  readonly msn: number;
  readonly url: string;
  readonly durationS: number;
  /** A discontinuity stands before it. */
  readonly discontinuity: boolean;
  readonly programDateTimeMs: number | undefined;
  /** `offset-length` or empty. */
  readonly byteRange: string;
}

export interface MediaPlaylist {
  readonly kind: 'media';
  readonly targetDurationS: number;
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly endList: boolean;
  readonly segments: readonly MediaSegment[];
  /** Seconds from the end at which the server wants players to start, when it says so. */
  readonly holdBackS: number | undefined;
  /** A playlist whose last line has no end was cut short on its way or written while it was read (HLS-010). */
  readonly endsWithNewline: boolean;
}

export interface UnreadablePlaylist {
  readonly kind: 'unreadable';
  readonly reason: string;
}

/**
 * Reads a playlist by RFC 8216; URLs are resolved against the playlist's own.
 * A text that is none is `unreadable` with the reason: for a monitor that is an observation, not an exception.
 */
export function parsePlaylist(
  text: string,
  playlistUrl: string,
): MasterPlaylist | MediaPlaylist | UnreadablePlaylist {
  if (!text.startsWith('#EXTM3U')) return { kind: 'unreadable', reason: 'it does not begin with #EXTM3U' };
  let parsed: hls.types.MasterPlaylist | hls.types.MediaPlaylist;
  try {
    parsed = hls.parse(text);
  } catch (error) {
    return { kind: 'unreadable', reason: messageOf(error) };
  }
  const absolute = (uri: string) => new URL(uri, playlistUrl).href;
  if (parsed.isMasterPlaylist) {
    const variants = parsed.variants.filter((variant) => !variant.isIFrameOnly);
    return {
      kind: 'master',
      variants: variants.map(({ uri, bandwidth }) => ({ url: absolute(uri), bandwidth })),
    };
  }
  return {
    kind: 'media',
    targetDurationS: parsed.targetDuration,
    mediaSequence: parsed.mediaSequenceBase ?? 0,
    discontinuitySequence: parsed.discontinuitySequenceBase ?? 0,
    endList: parsed.endlist,
    // an EXTINF without a URI behind it, at the end of a text that was cut, is no segment
    segments: parsed.segments
      .filter((segment) => segment.uri !== '')
      .map((segment) => ({
        msn: segment.mediaSequenceNumber,
        url: absolute(segment.uri),
        durationS: segment.duration,
        discontinuity: segment.discontinuity === true,
        programDateTimeMs: segment.programDateTime?.getTime(),
        byteRange: segment.byterange ? `${segment.byterange.offset}-${segment.byterange.length}` : '',
      })),
    holdBackS: parsed.lowLatencyCompatibility?.holdBack,
    endsWithNewline: text.endsWith('\n'),
  };
}
