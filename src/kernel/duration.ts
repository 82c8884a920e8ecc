import { TrollfixError } from './errors.ts';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads `250ms`, `10s`, `1m30s`, `2h` into milliseconds. A bare number is refused: the unit matters.
 * @throws TF-CLI-004
 */
export function parseDurationMs(text: string): number {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const whole = parts.map((p) => p[0]).join('');
  if (parts.length === 0 || whole !== text.trim()) {
    const bare = /^\d+(\.\d+)?$/.test(text.trim());
    throw new TrollfixError('TF-CLI-004', `"${text}" is not a duration`, {
      why: bare ? 'a bare number has no unit' : 'a duration is numbers with units: ms, s, m, h, d',
      hint: bare ? `write ${text.trim()}s or ${text.trim()}ms` : 'examples: 250ms, 10s, 1m30s',
    });
  }
  return parts.reduce((sum, [, digits, unit]) => sum + Number(digits) * (unitMs[unit ?? ''] ?? 0), 0);
}

/** Writes milliseconds the way a person would: `250ms`, `10s`, `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Number.isInteger(ms) ? ms : ms.toFixed(1)}ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))}s`;
  const totalSeconds = Math.round(ms / 1000);
  const [h, m, s] = [
    Math.floor(totalSeconds / 3600),
    Math.floor((totalSeconds % 3600) / 60),
    totalSeconds % 60,
  ];
  return `${h ? `${h}h` : ''}${m ? `${m}m` : ''}${s || !(h || m) ? `${s}s` : ''}`;
}

/**
 * Reads `100/s`, `6000/m` into events per second. A bare number is refused.
 * @throws TF-CLI-004
 */
export function parseRatePerSecond(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\/(s|m|h)$/.exec(text.trim());
  const [, digits, unit] = match ?? [];
  const rate = Number(digits) / ((unitMs[unit ?? ''] ?? 1000) / 1000);
  if (!match || !(rate > 0)) {
    throw new TrollfixError('TF-CLI-004', `"${text}" is not a rate`, {
      why: 'a rate is a positive number per second, minute or hour',
      hint: 'examples: 100/s, 6000/m',
    });
  }
  return rate;
}
