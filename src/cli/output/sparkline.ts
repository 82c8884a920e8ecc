const bars = '▁▂▃▄▅▆▇█';

/** One bar a value, scaled from 0 to the largest. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values, 0);
  return values
    .map((value) =>
      bars.charAt(top === 0 ? 0 : Math.min(bars.length - 1, Math.floor((value / top) * bars.length))),
    )
    .join('');
}
