/** How the JSON of a column is made; from the type's oid, see `columnKind`. */
export type ValueKind = 'bool' | 'number' | 'json' | 'timestamp' | 'text';

const kinds: Readonly<Record<number, ValueKind>> = {
  16: 'bool',
  20: 'number', // int8
  21: 'number', // int2
  23: 'number', // int4
  700: 'number', // float4
  701: 'number', // float8
  1700: 'number', // numeric
  114: 'json',
  3802: 'json', // jsonb
  1114: 'timestamp',
  1184: 'timestamp', // timestamptz
};

export function valueKind(typeOid: number): ValueKind {
  return kinds[typeOid] ?? 'text';
}

export interface JsonType {
  readonly kind: ValueKind;
  /** For arrays: the delimiter of their text form. */
  readonly arrayDelimiter: string | null;
}

/** JSON text of a value in PostgreSQL's text form: what `to_json` and therefore PostgREST would say. */
export function jsonOf(text: string | null, type: JsonType): string {
  if (text === null) return 'null';
  return type.arrayDelimiter === null
    ? scalarJson(text, type.kind)
    : arrayJson(text, type.kind, type.arrayDelimiter);
}

function scalarJson(text: string, kind: ValueKind): string {
  switch (kind) {
    case 'bool':
      return text === 't' ? 'true' : 'false';
    case 'number':
      // NaN and Infinity are no JSON numbers; to_json quotes them
      return /^-?\d/.test(text) ? text : JSON.stringify(text);
    case 'json':
      return text;
    case 'timestamp':
      return JSON.stringify(isoTimestamp(text));
    default:
      return JSON.stringify(text);
  }
}

/** `2026-11-24 08:00:00.5+00` as to_json writes it: `2026-11-24T08:00:00.5+00:00`. Infinity stays as it is. */
function isoTimestamp(text: string): string {
  return text.replace(/^(\d+-\d\d-\d\d) (\S+)/, '$1T$2').replace(/(T[\d:.]+[+-]\d\d)(?=$| BC)/, '$1:00');
}

/**
 * The text form of an array (`{1,NULL,"a b",{…}}`, maybe with bounds `[0:1]=` in front) as JSON.
 * https://www.postgresql.org/docs/17/arrays.html#ARRAYS-IO
 */
function arrayJson(text: string, kind: ValueKind, delimiter: string): string {
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0;
  const readArray = (): string => {
    const items: string[] = [];
    at++; // {
    while (at < text.length && text[at] !== '}') {
      items.push(text[at] === '{' ? readArray() : readItem());
      if (text[at] === delimiter) at++;
    }
    at++; // }
    return `[${items.join(',')}]`;
  };
  const readItem = (): string => {
    let value = '';
    if (text[at] === '"') {
      for (at++; at < text.length && text[at] !== '"'; at++) {
        if (text[at] === '\\') at++;
        value += text[at] ?? '';
      }
      at++; // closing quote
      return scalarJson(value, kind);
    }
    const start = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== '}') at++;
    value = text.slice(start, at);
    return value === 'NULL' ? 'null' : scalarJson(value, kind);
  };
  return readArray();
}
