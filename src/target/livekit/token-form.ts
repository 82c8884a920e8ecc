import { isObject } from '../../kernel/json-object.ts';
import type { TokenRequest } from './token-endpoint.ts';

/** How a token endpoint wants to be asked. Texts may hold `{room}` and `{identity}`; `{jwt}` only the header. */
export interface TokenForm {
  readonly url: string;
  readonly method: string;
  /** The JSON body, or null for an endpoint that takes everything from its URL. */
  readonly body: Readonly<Record<string, unknown>> | null;
  /** The header that says who asks. */
  readonly auth: { readonly name: string; readonly value: string };
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the token stands in the answer; null looks at the usual places. */
  readonly tokenField: string | null;
}

/** One question to an endpoint, before it has the form that the endpoint wants. */
export interface TokenAsk {
  /** The JWT of who asks; null asks as nobody. */
  readonly jwt: string | null;
  readonly apiKey: string | null;
  /** Usually the name of a room; hostile questions put anything here. */
  readonly room: unknown;
  readonly identity: string;
  /** Things nobody asked for, beside what the form has: they never replace it. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** Makes another text of the JSON body; a form without a body cannot carry it. */
  readonly rewrite?: (json: string) => string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

/** The form of the app's own endpoint, and of the Edge Function. */
export function ownTokenForm(url: string): TokenForm {
  return {
    url,
    method: 'POST',
    body: { streamId: '{room}' },
    auth: { name: 'Authorization', value: 'Bearer {jwt}' },
    headers: {},
    tokenField: null,
  };
}

/** Where a question goes and what goes there. */
export function formRequest(form: TokenForm, ask: TokenAsk): { url: string; request: TokenRequest } {
  const values = { '{room}': ask.room, '{identity}': ask.identity };
  const url = fillUrl(form.url, values);
  const query: Record<string, string> = { ...ask.query };
  let body = '';
  if (form.body === null) {
    for (const [key, value] of Object.entries(ask.extra ?? {})) query[key] ??= textOf(value);
  } else {
    // the form's own keys last: what is added must not replace the room that was asked for
    const json = JSON.stringify({ ...ask.extra, ...fillObject(form.body, values) });
    body = ask.rewrite === undefined ? json : ask.rewrite(json);
  }
  const auth = ask.jwt === null ? {} : { [form.auth.name]: form.auth.value.replaceAll('{jwt}', ask.jwt) };
  const search = new URLSearchParams(query).toString();
  return {
    url,
    request: {
      apiKey: ask.apiKey,
      bearer: null,
      body,
      method: ask.method ?? form.method,
      headers: { ...form.headers, ...auth, ...ask.headers },
      ...(search === '' ? {} : { query: `?${search}` }),
    },
  };
}

type Values = Readonly<Record<string, unknown>>;

function fillUrl(url: string, values: Values): string {
  let filled = url;
  for (const [mark, value] of Object.entries(values)) {
    filled = filled.replaceAll(mark, encodeURIComponent(textOf(value)));
  }
  return filled;
}

function fillObject(template: Readonly<Record<string, unknown>>, values: Values): Record<string, unknown> {
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fill(value, values)]));
}

/** A text that is nothing but a mark becomes the value itself, which may be of any type. */
function fill(value: unknown, values: Values): unknown {
  if (Array.isArray(value)) return value.map((item) => fill(item, values));
  if (isObject(value)) return fillObject(value, values);
  if (typeof value !== 'string') return value;
  if (Object.hasOwn(values, value)) return values[value];
  let text = value;
  for (const [mark, filling] of Object.entries(values)) text = text.replaceAll(mark, textOf(filling));
  return text;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
