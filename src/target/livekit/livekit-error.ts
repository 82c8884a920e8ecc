import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { redact } from '../../kernel/redact.ts';

/** What a failed call to LiveKit means for whoever made it. */
type LiveKitFailureKind =
  /** No connection: refused, reset, unknown host. Try again. */
  | 'unreachable'
  /** Connected, but no answer in time: frozen or a black hole. Try again. */
  | 'timeout'
  /** 5xx or 429. Try again. */
  | 'server_error'
  /** 401/403: wrong key or secret, or a clock more than 60 s off. Trying again does not help. */
  | 'unauthorized'
  /** 404: room or participant is not there now. LiveKit does not say which, nor whether it ever was. */
  | 'absent'
  /** Any other answer that is no success. Trying again does not help. */
  | 'refused';

export interface LiveKitFailure {
  readonly kind: LiveKitFailureKind;
  readonly retryable: boolean;
  readonly status: number | null;
  /** Redacted: LiveKit's own messages contain whole JWTs. */
  readonly message: string;
}

/** An expected failure of a LiveKit call, with what to do about it. */
export class LiveKitError extends TrollfixError {
  readonly failure: LiveKitFailure;

  constructor(failure: LiveKitFailure, call: string, url: string) {
    // no `cause`: the original error would carry the unredacted text along
    super(codeFor(failure.kind), `${call} at ${redact(url)}: ${failure.message}`, {
      why: whyFor(failure.kind),
      details: { kind: failure.kind, status: failure.status },
    });
    this.failure = failure;
  }
}

/**
 * Classifies what the Node SDK throws. By name, cause and status, because `code` is undefined for the most
 * frequent refusals (measured against 1.11.0: wrong secret is `ServerError` 401 without a code).
 */
export function classifyLiveKitError(error: unknown): LiveKitFailure {
  const status = numberProperty(error, 'status');
  const message = redact(messageOf(error));
  if (status !== null) {
    const kind = kindOfStatus(status);
    return { kind, retryable: kind === 'server_error', status, message };
  }
  const name = error instanceof Error ? error.name : '';
  if (name === 'TimeoutError' || name === 'AbortError') {
    return { kind: 'timeout', retryable: true, status, message: 'no answer in time' };
  }
  const cause = causeCode(error);
  if (cause !== null || (error instanceof TypeError && message === 'fetch failed')) {
    return { kind: 'unreachable', retryable: true, status, message: cause ?? message };
  }
  return { kind: 'refused', retryable: false, status, message };
}

function kindOfStatus(status: number): LiveKitFailureKind {
  if (status === 404) return 'absent';
  if (status === 401 || status === 403) return 'unauthorized';
  return status >= 500 || status === 429 ? 'server_error' : 'refused';
}

function codeFor(kind: LiveKitFailureKind) {
  if (kind === 'unauthorized') return 'TF-LK-002';
  return kind === 'refused' || kind === 'absent' ? 'TF-LK-003' : 'TF-LK-001';
}

function whyFor(kind: LiveKitFailureKind): string {
  switch (kind) {
    case 'unreachable':
      return 'no connection could be made';
    case 'timeout':
      return 'it is frozen, overloaded or unreachable behind a firewall';
    case 'server_error':
      return 'it answered with an error of its own';
    case 'unauthorized':
      return 'key or secret are wrong, or this clock is more than 60 s off its clock';
    case 'absent':
      return 'the room or the participant is not there';
    case 'refused':
      return 'it does not accept the request';
  }
}

/** The system's code (`ECONNREFUSED`) of a network error, wherever fetch and ws put it. */
function causeCode(error: unknown): string | null {
  const own = stringProperty(error, 'code');
  if (own?.startsWith('E')) return own;
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AggregateError) return causeCode(cause.errors[0]) ?? stringProperty(cause, 'code');
  return cause === undefined ? null : stringProperty(cause, 'code');
}

function numberProperty(value: unknown, key: string): number | null {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof found === 'number' ? found : null;
}

function stringProperty(value: unknown, key: string): string | null {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof found === 'string' ? found : null;
}
