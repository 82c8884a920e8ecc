import { ServerError } from 'livekit-server-sdk';
import { describe, expect, it } from 'vitest';
import { classifyLiveKitError, LiveKitError } from '../../../../src/target/livekit/livekit-error.ts';

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJkZXZrZXkiLCJzdWIiOiJhIn0.c2lnbmF0dXJlLWJ5dGVz';

function networkError(code: string): Error {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(`connect ${code}`), { code }) });
}

describe('classifyLiveKitError', () => {
  // the left column is livekit.md §6, as measured against 1.11.0
  it.each([
    ['LiveKit down', networkError('ECONNREFUSED'), 'unreachable', true],
    ['connection reset', networkError('ECONNRESET'), 'unreachable', true],
    ['unknown host', networkError('ENOTFOUND'), 'unreachable', true],
    ['fetch failed without a cause', new TypeError('fetch failed'), 'unreachable', true],
    [
      'ws, down',
      Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
      'unreachable',
      true,
    ],
    ['frozen', new DOMException('The operation was aborted due to timeout', 'TimeoutError'), 'timeout', true],
    [
      'wrong secret: no code',
      new ServerError('Unauthorized', `invalid token: ${jwt}`, 401),
      'unauthorized',
      false,
    ],
    [
      'no roomAdmin',
      new ServerError('Unauthorized', 'permissions denied', 401, 'unauthenticated'),
      'unauthorized',
      false,
    ],
    [
      'already removed',
      new ServerError('Not Found', 'participant does not exist', 404, 'not_found'),
      'absent',
      false,
    ],
    ['over a limit', new ServerError('Too Many Requests', 'slow down', 429), 'server_error', true],
    [
      'its own trouble',
      new ServerError('Service Unavailable', 'no response', 503, 'unavailable'),
      'server_error',
      true,
    ],
    ['a bad request', new ServerError('Bad Request', 'room is empty', 400, 'malformed'), 'refused', false],
    ['anything else', 'a string', 'refused', false],
  ])('%s', (_case, error, kind, retryable) => {
    expect(classifyLiveKitError(error)).toMatchObject({ kind, retryable });
  });

  it('looks through an AggregateError of several addresses', () => {
    const cause = new AggregateError([Object.assign(new Error('no'), { code: 'ECONNREFUSED' })]);
    expect(classifyLiveKitError(new TypeError('fetch failed', { cause }))).toMatchObject({
      kind: 'unreachable',
      message: 'ECONNREFUSED',
    });
  });
});

describe('LiveKitError', () => {
  it('carries no JWT, whatever of it is printed', () => {
    const failure = classifyLiveKitError(
      new ServerError('Unauthorized', `invalid token: ${jwt} error: bad`, 401),
    );
    const error = new LiveKitError(failure, 'removeParticipant', 'wss://key:hunter2@lk.example.com');
    const everything = [
      error.message,
      error.stack,
      error.why,
      error.hint,
      JSON.stringify(error),
      JSON.stringify(error.failure),
      JSON.stringify(error.details),
      String(error.cause),
    ].join('\n');
    expect(everything).not.toContain('eyJ');
    expect(everything).not.toContain('hunter2');
    expect(error.code).toBe('TF-LK-002');
  });

  it.each([
    [networkError('ECONNREFUSED'), 'TF-LK-001'],
    [new DOMException('late', 'TimeoutError'), 'TF-LK-001'],
    [new ServerError('x', 'x', 503), 'TF-LK-001'],
    [new ServerError('x', 'x', 401), 'TF-LK-002'],
    [new ServerError('x', 'x', 400), 'TF-LK-003'],
  ])('%s has the code %s', (thrown, code) => {
    expect(new LiveKitError(classifyLiveKitError(thrown), 'call', 'ws://127.0.0.1:1').code).toBe(code);
  });
});
