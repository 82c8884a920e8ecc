import { messageOf } from '../../kernel/errors.ts';
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
  readonly method?: 'POST' | 'GET';
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
const tokenKeys = ['token', 'accessToken', 'access_token', 'participantToken', 'jwt'] as const;

/** Asks a token endpoint. Never throws for what it answers, nor when it does not. */
export async function requestToken(endpoint: string, request: TokenRequest): Promise<TokenAnswer> {
  const { method = 'POST', apiKey, bearer } = request;
  try {
    const response = await fetch(`${endpoint}${request.query ?? ''}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(apiKey === null ? {} : { apikey: apiKey }),
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      },
      ...(method === 'GET' ? {} : { body: request.body }),
      signal: AbortSignal.timeout(deadlineMs),
    });
    return answerOf(response.status, await response.text());
  } catch (error) {
    return { status: 0, token: null, fields: {}, problem: redact(messageOf(error)) };
  }
}

function answerOf(status: number, text: string): TokenAnswer {
  const fields = jsonObject(text);
  const token = tokenKeys.map((key) => fields[key]).find((value) => typeof value === 'string') ?? null;
  const rest = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== token));
  return {
    status,
    token,
    fields: rest,
    problem: token === null ? redact(text.slice(0, 300)) : null,
  };
}

function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  } catch {
    return {};
  }
}
