import { describe, expect, test } from 'vitest';
import { parsePreferences } from '../../../../src/local/gateway/rest/preferences.ts';
import { RestError, restErrorOf } from '../../../../src/local/gateway/rest/rest-error.ts';

function pgError(code: string, message = 'm', detail?: string): Error {
  return Object.assign(new Error(message), { code, severity: 'ERROR', detail });
}

describe('SQLSTATE to status', () => {
  test.each([
    ['08006', 503],
    ['53300', 503],
    ['53400', 500],
    ['57P01', 503],
    ['23503', 409],
    ['23505', 409],
    ['25006', 405],
    ['22023', 400],
    ['21000', 500],
    ['25P02', 500],
    ['40001', 500],
    ['40P01', 500],
    ['55P03', 500],
    ['57014', 500],
    ['P0001', 400],
    ['P0002', 500],
    ['XX000', 500],
    ['42P17', 500],
    ['28000', 403],
    ['0LP01', 403],
    ['42883', 404],
    ['42P01', 404],
    ['42703', 400],
    ['23502', 400],
    ['23514', 400],
    ['22P02', 400],
    ['PT402', 402],
    ['PT429', 429],
    ['PT999', 500],
    ['PT100', 500],
  ])('%s is %i', (code, status) => {
    expect(restErrorOf(pgError(code), false)).toMatchObject({ status, code });
  });

  test('a missing privilege is 401 for a guest and 403 for a user', () => {
    expect(restErrorOf(pgError('42501'), true)).toMatchObject({
      status: 401,
      headers: { 'WWW-Authenticate': 'Bearer' },
    });
    expect(restErrorOf(pgError('42501'), false).status).toBe(403);
  });

  test('a role that does not exist is 401, a write without WHERE 400', () => {
    expect(restErrorOf(pgError('22023', 'role "x" does not exist'), false).status).toBe(401);
    expect(restErrorOf(pgError('21000', 'DELETE requires a WHERE clause'), false).status).toBe(400);
  });

  test('RAISE SQLSTATE PGRST controls the answer, and only what HTTP can carry', () => {
    const message = JSON.stringify({ code: '1', message: 'no', details: 'd', hint: 'h' });
    const detail = JSON.stringify({ status: 418, headers: { 'X-A': 'b', 'X-Bad': 'a\r\nb', 'X Y': 'c' } });
    expect(restErrorOf(pgError('PGRST', message, detail), false)).toMatchObject({
      status: 418,
      code: '1',
      message: 'no',
      details: 'd',
      hint: 'h',
      headers: { 'X-A': 'b' },
    });
    expect(restErrorOf(pgError('PGRST', 'no json', detail), false)).toMatchObject({
      status: 500,
      code: 'PGRST121',
    });
    expect(restErrorOf(pgError('PGRST', message, '{"status":99999,"headers":{}}'), false).code).toBe(
      'PGRST121',
    );
  });

  test('a lost connection is 503, a full pool 504, a bug stays a bug', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    expect(restErrorOf(refused, false)).toMatchObject({ status: 503, code: 'PGRST001' });
    expect(restErrorOf(new Error('Connection terminated unexpectedly'), false).code).toBe('PGRST001');
    const full = new Error('timeout exceeded when trying to connect');
    expect(restErrorOf(full, false)).toMatchObject({ status: 504, code: 'PGRST003' });
    expect(() => restErrorOf(new TypeError('x is not a function'), false)).toThrow(TypeError);
  });
});

describe('Prefer', () => {
  test('the first of equal preferences counts, unknown ones are ignored', () => {
    const preferences = parsePreferences('return=representation, return=minimal, count=exact, nonsense');
    expect(preferences).toMatchObject({ return: 'representation', count: 'exact', rollback: false });
    expect(preferences.applied).toEqual(['return=representation', 'count=exact']);
  });

  test('handling=strict refuses what is unknown and makes max-affected count', () => {
    expect(() => parsePreferences('handling=strict, nonsense')).toThrow(RestError);
    expect(parsePreferences('max-affected=1').maxAffected).toBeUndefined();
    expect(parsePreferences('handling=strict, max-affected=1').maxAffected).toBe(1);
  });

  test('names of Object.prototype are unknown preferences', () => {
    expect(parsePreferences('constructor=x, __proto__=y, toString=z').applied).toEqual([]);
  });
});
