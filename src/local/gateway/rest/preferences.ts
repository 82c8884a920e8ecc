import { RestError } from './rest-error.ts';

export type CountKind = 'exact' | 'planned' | 'estimated';

/** The `Prefer` header: https://docs.postgrest.org/en/stable/references/api/preferences.html */
export interface Preferences {
  readonly return: 'representation' | 'minimal' | 'headers-only' | undefined;
  readonly count: CountKind | undefined;
  readonly resolution: 'merge-duplicates' | 'ignore-duplicates' | undefined;
  readonly missing: 'default' | 'null' | undefined;
  readonly rollback: boolean;
  readonly maxAffected: number | undefined;
  readonly strict: boolean;
  /** What was understood, for `Preference-Applied`. */
  readonly applied: readonly string[];
}

const known: Readonly<Record<string, RegExp>> = {
  return: /^(representation|minimal|headers-only)$/,
  count: /^(exact|planned|estimated)$/,
  resolution: /^(merge-duplicates|ignore-duplicates)$/,
  missing: /^(default|null)$/,
  tx: /^(commit|rollback)$/,
  handling: /^(strict|lenient)$/,
  'max-affected': /^\d{1,9}$/,
  params: /^(single-object|multiple-objects)$/,
};

/**
 * Unknown preferences are ignored, unless `handling=strict` asks to refuse them.
 * @throws RestError PGRST122
 */
export function parsePreferences(header: string | undefined): Preferences {
  const given = new Map<string, string>();
  const unknown: string[] = [];
  for (const part of (header ?? '').split(',')) {
    const text = part.trim();
    if (text === '') continue;
    const [name = '', value = ''] = text.split('=').map((side) => side.trim());
    if (!(Object.hasOwn(known, name) && known[name]?.test(value))) unknown.push(text);
    // the first of two equal preferences counts (RFC 7240 §2)
    else if (!given.has(name)) given.set(name, value);
  }
  const strict = given.get('handling') === 'strict';
  if (strict && unknown.length > 0) {
    throw new RestError(400, 'PGRST122', 'Invalid preferences given with handling=strict', {
      details: `Invalid preferences: ${unknown.join(', ')}`,
    });
  }
  const maxAffected = given.get('max-affected');
  // the patterns above admit exactly the members of these unions
  return {
    return: given.get('return') as Preferences['return'],
    count: given.get('count') as Preferences['count'],
    resolution: given.get('resolution') as Preferences['resolution'],
    missing: given.get('missing') as Preferences['missing'],
    rollback: given.get('tx') === 'rollback',
    // PostgREST heeds it only together with handling=strict
    maxAffected: strict && maxAffected !== undefined ? Number(maxAffected) : undefined,
    strict,
    applied: [...given].filter(([name]) => name !== 'params').map(([name, value]) => `${name}=${value}`),
  };
}
