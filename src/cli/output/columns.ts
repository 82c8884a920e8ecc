import { displayWidth } from '../../kernel/text-width.ts';

export function padToWidth(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

/** Rows as lines whose columns start below each other; the last column is left as it is. */
export function alignColumns(
  rows: ReadonlyArray<readonly string[]>,
  options: { indent?: number; gap?: number } = {},
): string[] {
  const { indent = 0, gap = 2 } = options;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, displayWidth(cell));
  }
  return rows.map((row) => {
    const cells = row.map((cell, i) => (i === row.length - 1 ? cell : padToWidth(cell, widths[i] ?? 0)));
    return (' '.repeat(indent) + cells.join(' '.repeat(gap))).trimEnd();
  });
}
