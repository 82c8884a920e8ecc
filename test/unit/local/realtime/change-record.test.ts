import { describe, expect, test } from 'vitest';
import {
  type JsonType,
  jsonOf,
  valueKind,
} from '../../../../src/local/gateway/realtime/changes/record-json.ts';
import { Snapshot } from '../../../../src/local/gateway/realtime/changes/snapshot.ts';
import {
  describeSubscription,
  parseSubscription,
} from '../../../../src/local/gateway/realtime/changes/subscription-params.ts';
import { changeIdOf, parseJoin } from '../../../../src/local/gateway/realtime/join-config.ts';

describe('values as to_json writes them', () => {
  const scalar = (oid: number): JsonType => ({ kind: valueKind(oid), arrayDelimiter: null });
  const array = (oid: number, delimiter = ','): JsonType => ({
    kind: valueKind(oid),
    arrayDelimiter: delimiter,
  });

  test.each<[string, string | null, JsonType, string]>([
    ['null', null, scalar(25), 'null'],
    ['bool', 't', scalar(16), 'true'],
    ['bigint keeps its digits', '9223372036854775807', scalar(20), '9223372036854775807'],
    ['numeric keeps its zeros', '1.50', scalar(1700), '1.50'],
    ['NaN is quoted', 'NaN', scalar(701), '"NaN"'],
    ['-Infinity is quoted', '-Infinity', scalar(701), '"-Infinity"'],
    ['jsonb is embedded', '{"a": [1]}', scalar(3802), '{"a": [1]}'],
    ['timestamptz', '2026-11-24 08:00:00.123456+00', scalar(1184), '"2026-11-24T08:00:00.123456+00:00"'],
    ['timestamptz with minutes', '2026-11-24 08:00:00+05:30', scalar(1184), '"2026-11-24T08:00:00+05:30"'],
    ['timestamp', '2026-11-24 08:00:00', scalar(1114), '"2026-11-24T08:00:00"'],
    ['infinity', 'infinity', scalar(1184), '"infinity"'],
    ['text is escaped', 'a"b\n', scalar(25), '"a\\"b\\n"'],
    ['bytea', '\\x00ff', scalar(17), '"\\\\x00ff"'],
    ['int array', '{1,NULL,3}', array(23), '[1,null,3]'],
    ['text array', '{a,"b,c","d\\"e",NULL,"NULL"}', array(25), '["a","b,c","d\\"e",null,"NULL"]'],
    ['nested array', '{{1,2},{3,4}}', array(23), '[[1,2],[3,4]]'],
    ['bounds', '[0:1]={t,f}', array(16), '[true,false]'],
    ['empty array', '{}', array(25), '[]'],
    ['box array', '{(1,1),(0,0);(2,2),(1,1)}', array(603, ';'), '["(1,1),(0,0)","(2,2),(1,1)"]'],
  ])('%s', (_what, text, type, expected) => {
    expect(jsonOf(text, type)).toBe(expected);
  });
});

describe('Snapshot', () => {
  test('sees what committed before it, not what runs', () => {
    const snapshot = new Snapshot('100:110:102,105');
    expect([99, 100, 102, 103, 105, 109, 110].map((xid) => snapshot.sees(xid))).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  test('adds the epoch: 32-bit xids wrap', () => {
    const epoch = 3n << 32n;
    const snapshot = new Snapshot(`${epoch + 5n}:${epoch + 10n}:`);
    expect(snapshot.sees(7)).toBe(true);
    expect(snapshot.sees(11)).toBe(false);
    expect(snapshot.sees(0xffff_fff0)).toBe(true); // of the epoch before
    const before = new Snapshot(`${epoch - 20n}:${epoch - 10n}:`);
    expect(before.sees(3)).toBe(false); // of the epoch to come
  });
});

describe('subscription parameters', () => {
  test('wildcards and defaults', () => {
    expect(parseSubscription({ schema: 'app' })).toMatchObject({ schema: 'app', table: '*', event: '*' });
    expect(parseSubscription({ table: 'm' })).toMatchObject({ schema: 'public', table: 'm' });
    expect(parseSubscription({ event: 'insert', schema: 's', table: 't' }).event).toBe('INSERT');
    expect(() => parseSubscription({})).toThrow('No subscription params provided');
    expect(() => parseSubscription({ schema: '*', table: 't', select: ['a'] })).toThrow('wildcard');
  });

  test('are described as hosted prints them', () => {
    const params = parseSubscription({ event: 'INSERT', schema: 's', table: 't', filter: 'a=eq.1' });
    expect(describeSubscription(params)).toBe(
      'event: INSERT, schema: s, table: t, filters: [{"a", "eq", "1", false}], select: nil',
    );
  });

  test('equal parameters have equal ids below 2^27, in any order of keys', () => {
    const id = changeIdOf({ schema: 's', table: 't', event: '*' });
    expect(changeIdOf({ event: '*', table: 't', schema: 's' })).toBe(id);
    expect(changeIdOf({ event: '*', table: 'u', schema: 's' })).not.toBe(id);
    expect(id).toBeLessThan(2 ** 27);
  });
});

describe('parseJoin', () => {
  test('flexible booleans, and wrong types count as the default', () => {
    const join = parseJoin({
      config: {
        private: 'true',
        broadcast: { self: 'TRUE', ack: 7, replay: { since: 'x' } },
        presence: { key: 5, enabled: 'true' },
        postgres_changes: [null, { schema: 's' }, 'x'],
      },
      access_token: 12,
    });
    expect(join).toMatchObject({
      isPrivate: true,
      selfBroadcast: true,
      ackBroadcast: false,
      replay: 'invalid',
      presenceEnabled: true,
      postgresChanges: [{ schema: 's' }],
      accessToken: null,
    });
    expect(join.presenceKey).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([null, 'x', [], 5, { config: 'x' }])('%j is a join with defaults', (payload) => {
    expect(parseJoin(payload)).toMatchObject({ isPrivate: false, postgresChanges: [], replay: undefined });
  });

  test('replay is held to 25 messages', () => {
    const join = parseJoin({ config: { broadcast: { replay: { since: 1, limit: 1000 } } } });
    expect(join.replay).toEqual({ sinceMs: 1, limit: 25 });
  });
});
