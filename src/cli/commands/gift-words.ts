import { formatDuration } from '../../kernel/duration.ts';
import type { Person } from '../../ops/gift-inspection.ts';
import type { GiftHealth } from '../../ops/gifts.ts';

export function number(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

/** `1 gift`, `1,200 gifts`. */
export function count(n: number, noun: string): string {
  return `${number(n)} ${noun}${n === 1 ? '' : 's'}`;
}

export function rate(perS: number | null): string {
  return perS === null ? 'unknown' : `${number(perS)} gifts/s`;
}

/** `4.2s`, of seconds. */
export function seconds(s: number): string {
  return formatDuration(Math.round(s * 1000));
}

/** What the verdict of gift_health stands on. */
export function verdictInWords(health: GiftHealth): string {
  switch (health.verdict) {
    case 'ok':
      return 'nothing is wrong';
    case 'stalled': {
      const finished =
        health.sinceLastFinishS === null
          ? 'no run has ever finished'
          : `no run finished for ${health.sinceLastFinishS.toFixed(0)} s`;
      const skipped = health.skippedSinceFinish;
      return skipped === 0 ? finished : `${finished}; ${count(skipped, 'run')} found the lock taken`;
    }
    case 'failing':
      return health.lastError ?? `${count(health.runsWithoutEnd, 'run')} began and died`;
    case 'diverging':
      return `${rate(health.ingestPerS)} come in, the schedule settles ${rate(health.sustainedPerS)}`;
    case 'late':
      return `the oldest gift waits for ${(health.oldestPendingS ?? 0).toFixed(0)} s`;
  }
}

/** When the backlog will be gone, as far as anybody can say. */
export function forecastInWords(health: GiftHealth): string {
  const { backlog, secondsToDrain, ingestPerS, sustainedPerS } = health;
  if (backlog === 0) return 'nothing to drain';
  if (secondsToDrain !== null) {
    return formatDuration(Math.max(1, Math.round(secondsToDrain * 1000)));
  }
  if (sustainedPerS === null) return 'unknown: no large run within the last hour';
  return `never: ${rate(ingestPerS)} come in, the schedule settles ${rate(sustainedPerS)}`;
}

export function personName({ username, id }: Person): string {
  return username ?? id;
}
