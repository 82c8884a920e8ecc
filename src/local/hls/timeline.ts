/** Seconds of every segment, and the target duration of the playlist: the shipped media were cut so. */
export const segmentS = 2;

/** Segments of the loop before it begins again: the shipped media. */
export const loopSegments = 4;

/** Segments listed: 6 × 2 s is twice the 3 target durations that a live playlist must keep (HLS-007). */
export const windowSegments = 6;

/**
 * Segments that can still be fetched after they left the playlist: their own duration plus that of the longest
 * playlist that listed them (RFC 8216bis §6.2.2), in segments.
 */
export const graceSegments = windowSegments + 1;

/** The live stream at one moment: media sequence numbers, first and last included. */
export interface LiveWindow {
  readonly first: number;
  readonly last: number;
  /** Discontinuity tags that have left the playlist. */
  readonly discontinuitySequence: number;
}

/**
 * What is live at `nowMs` on a stream that began at `epochMs`. A pure function of time: two origins, or one that was
 * killed and started again, agree on it. At the epoch itself the window is already full, with segments that
 * ended before it, so that a stream just started is as good to join as an old one.
 */
export function liveWindow(epochMs: number, nowMs: number): LiveWindow {
  const elapsed = Math.max(0, Math.floor((nowMs - epochMs) / (segmentS * 1000)));
  return windowFrom(elapsed);
}

/** The window whose first segment is `first`. */
export function windowFrom(first: number): LiveWindow {
  return { first, last: first + windowSegments - 1, discontinuitySequence: discontinuitiesBefore(first) };
}

/** Whether the loop starts again with this segment; the very first one follows nothing. */
export function startsLoop(sequence: number): boolean {
  return sequence > 0 && sequence % loopSegments === 0;
}

/** Tags that stand before segments lower than `sequence`. */
function discontinuitiesBefore(sequence: number): number {
  return sequence === 0 ? 0 : Math.floor((sequence - 1) / loopSegments);
}

/** Wall-clock time of the first frame of a segment. */
export function programDateTimeMs(epochMs: number, sequence: number): number {
  return epochMs + (sequence - windowSegments) * segmentS * 1000;
}

/** Whether a segment is there to be fetched: not before it is complete, and for its availability duration after. */
export function isAvailable(window: LiveWindow, sequence: number): boolean {
  return sequence <= window.last && sequence >= Math.max(0, window.first - graceSegments);
}
