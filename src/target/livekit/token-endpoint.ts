import { messageOf } from '../../kernel/errors.ts';
import { isObject } from '../../kernel/json-object.ts';
import { redact } from '../../kernel/redact.ts';

/** A request to a token endpoint as it goes over the wire; hostile ones need every part in their hands. */
export interface TokenRequest {
  /** Goes into `apikey`, where the platform's gateway wants one. */
  readonly apiKey: string | null;
  /** The JWT that says who asks; null sends no Authorization. */
  readonly bearer: string | null;
  /** The body as text, so that it may be any JSON or none. */
  readonly body: string;
  /** Appended to the endpoint's URL: `?room=…`. */
  readonly query?: string;
  readonly method?: string;
  /** Beside and above those that follow from the rest. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TokenAnswer {
  /** 0 when there was no answer; then `problem` says why. */
  readonly status: number;
  /** The token, where the answer holds one, whatever its status. */
  readonly token: string | null;
  /** The rest of the answer: url, identity, room, expiresAt. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The body of a refusal, or what kept the answer away; redacted, at most 300 characters. */
  readonly problem: string | null;
}

/** An Edge Function that starts cold takes seconds, not tens of them. */
const deadlineMs = 10_000;

/** Names under which token endpoints answer; the first is ours, the others are in LiveKit's examples. */
const tokenKeys = ['token', 'accessToken', 'access_token', 'participantToken', 'participant_token', 'jwt'];

/** A whole answer that is nothing but a JWT. */
const bareJwt = /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/;

/**
 * Asks a token endpoint. Never throws for what it answers, nor when it does not. Redirects are answers too: following
 * one would carry the question to whoever it names.
 * @param tokenField where the token stands in the JSON answer (`data.token`); null looks at the usual places
 */
export async function requestToken(
  endpoint: string,
  request: TokenRequest,
  tokenField: string | null = null,
): Promise<TokenAnswer> {
  const { method = 'POST', apiKey, bearer } = request;
  try {
    const response = await fetch(withQuery(endpoint, request.query), {
      method,
      redirect: 'manual',
      headers: {
        'content-type': 'application/json',
        ...(apiKey === null ? {} : { apikey: apiKey }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...request.headers,
      },
      ...(method === 'GET' || method === 'HEAD' ? {} : { body: request.body }),
      signal: AbortSignal.timeout(deadlineMs),
    });
    return answerOf(response.status, await response.text(), tokenField);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const why = cause === undefined ? '' : ` (${messageOf(cause)})`;
    return { status: 0, token: null, fields: {}, problem: redact(`${messageOf(error)}${why}`) };
  }
}

function withQuery(endpoint: string, query = ''): string {
  return endpoint.includes('?') ? endpoint + query.replace(/^\?/, '&') : endpoint + query;
}

function answerOf(status: number, text: string, tokenField: string | null): TokenAnswer {
  const fields = jsonObject(text);
  const token = tokenIn(fields, text, tokenField);
  const rest = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== token));
  return {
    status,
    token,
    fields: rest,
    problem: token === null ? redact(text.slice(0, 300)) : null,
  };
}

function tokenIn(fields: Record<string, unknown>, text: string, tokenField: string | null): string | null {
  if (tokenField !== null) return textAt(fields, tokenField.split('.'));
  const inner = isObject(fields.data) ? fields.data : {};
  for (const place of [fields, inner]) {
    const found = tokenKeys.map((key) => place[key]).find((value) => typeof value === 'string');
    if (typeof found === 'string') return found;
  }
  return bareJwt.test(text.trim()) ? text.trim() : null;
}

function textAt(fields: Record<string, unknown>, path: readonly string[]): string | null {
  let value: unknown = fields;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return typeof value === 'string' ? value : null;
}

function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
