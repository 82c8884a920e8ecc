import { TrollfixError } from '../kernel/errors.ts';

/**
 * Reads `NAME=value` lines: `#` comments, `export `, single quotes (as they are) and double quotes (`\n`, `\"`, `\\`).
 * Nothing is expanded: what `trollfix status --env` and dashboards write needs no more.
 * @throws TF-CFG-001 that names the line, never its text: it may hold a secret
 */
export function parseEnvFile(text: string, name: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const match = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/.exec(trimmed);
    const [, key, raw] = match ?? [];
    if (key === undefined || raw === undefined) {
      throw new TrollfixError('TF-CFG-001', `${name}:${i + 1}: not a NAME=value line`, {
        hint: `fix line ${i + 1} of ${name}`,
        details: { file: name, line: i + 1 },
      });
    }
    values[key] = unquote(raw);
  }
  return values;
}

function unquote(raw: string): string {
  const single = /^'([^']*)'\s*(?:#.*)?$/.exec(raw);
  if (single) return single[1] ?? '';
  const double = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(raw);
  if (double) return (double[1] ?? '').replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  return raw.replace(/\s+#.*$/, '').trim();
}
