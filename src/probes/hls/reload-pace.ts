/**
 * When a player may load a playlist again (RFC 8216 §6.3.4): a target duration after it *began* the last load when
 * that brought something new, half of it when not, and never after EXT-X-ENDLIST.
 * A failed load counts as unchanged: the player waits half a target duration and tries again.
 * @param load.startedMs when the last load began
 * @returns in the same milliseconds, or undefined: do not load it again
 */
export function nextReloadMs(load: {
  readonly startedMs: number;
  readonly changed: boolean;
  readonly targetDurationS: number;
  readonly endList: boolean;
}): number | undefined {
  if (load.endList) return undefined;
  const waitS = load.changed ? load.targetDurationS : load.targetDurationS / 2;
  return load.startedMs + waitS * 1000;
}
