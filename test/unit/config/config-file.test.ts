import { describe, expect, test } from 'vitest';
import { parseConfigFile } from '../../../src/config/config-file.ts';
import { configText, hasTarget, variablesOf } from '../../../src/config/config-writer.ts';
import { parseEnvFile } from '../../../src/config/env-file.ts';
import { refusal } from './refusal.ts';

const good = `# ours
target: staging
targets:
  staging:
    supabaseUrl: https://abcd.supabase.co
    anonKey: { env: ANON }
    livekit:
      url: wss://x.livekit.cloud
    limits: { maxRate: 50/s, maxUsers: 100 }
`;

describe('trollfix.yaml', () => {
  test('is read, and knows its lines', () => {
    const file = parseConfigFile(good, 'trollfix.yaml');
    expect(file.config.targets.staging?.limits).toEqual({ maxRate: '50/s', maxUsers: 100, chaos: false });
    expect(file.lineOf(['targets', 'staging', 'livekit', 'url'])).toBe(8);
    expect(file.lineOf(['targets', 'staging', 'tokenEndpoint'])).toBe(4);
  });

  test('an empty file is a configuration without targets', () => {
    expect(parseConfigFile('# nothing yet\n', 'f').config).toEqual({ targets: {} });
  });

  test.each([
    ['at the top', 'tarets: {}\n', 1, 'tarets', 'targets'],
    ['in a target', good.replace('supabaseUrl', 'supabseUrl'), 5, 'supabseUrl', 'supabaseUrl'],
    ['deeper', good.replace('maxUsers', 'maxUser'), 9, 'maxUser', 'maxUsers'],
    ['in livekit', good.replace('      url:', '      ulr:'), 8, 'ulr', 'url'],
  ])('an unknown key %s: line, key and the nearest one', (_, text, line, key, near) => {
    const error = refusal(() => parseConfigFile(text, 'trollfix.yaml'));
    expect(error.code).toBe('TF-CFG-002');
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain(`trollfix.yaml:${line}: unknown key "${key}"`);
    expect(error.hint).toBe(`did you mean \`${near}\`?`);
  });

  test('a key like none: all that there are', () => {
    expect(refusal(() => parseConfigFile('xyzzy: 1\n', 'f')).why).toBe('the keys there are: target, targets');
  });

  test.each([
    ['a number for a text', good.replace('https://abcd.supabase.co', '5'), 5],
    ['a rate that is none', good.replace('50/s', 'fast'), 9],
    ['a negative number', good.replace('100', '-1'), 9],
    ['a list for a mapping', 'targets: [a]\n', 1],
  ])('a wrong value: %s', (_, text, line) => {
    const error = refusal(() => parseConfigFile(text, 'trollfix.yaml'));
    expect(error.code).toBe('TF-CFG-003');
    expect(error.message).toContain(`trollfix.yaml:${line}:`);
  });

  test.each([
    ['a tab', 'targets:\n\tstaging: {}\n', 2],
    ['a key twice', 'target: a\ntarget: b\n', 2],
    ['an open bracket', 'targets: {\n', 2],
  ])('no YAML: %s', (_, text, line) => {
    const error = refusal(() => parseConfigFile(text, 'trollfix.yaml'));
    expect(error.code).toBe('TF-CFG-001');
    expect(error.message).toContain(`trollfix.yaml:${line}:`);
  });
});

describe('what init writes', () => {
  const target = {
    name: 'my-staging',
    supabaseUrl: 'https://abcd.supabase.co',
    livekitUrl: 'wss://x.livekit.cloud',
    hlsUrl: undefined,
    tokenEndpoint: undefined,
    limits: { maxRate: '50/s', maxUsers: 100, chaos: false },
  };

  test('reads back, and holds variables where secrets belong', () => {
    const { config } = parseConfigFile(configText(undefined, target), 'f');
    expect(config.target).toBe('my-staging');
    expect(config.targets['my-staging']?.serviceRoleKey).toEqual({
      env: 'MY_STAGING_SUPABASE_SERVICE_ROLE_KEY',
    });
    expect(variablesOf(target).map(({ name }) => name)).toContain('MY_STAGING_LIVEKIT_API_SECRET');
  });

  test('leaves the rest of a file as it is, comments and default target included', () => {
    const text = configText(good, target);
    expect(text).toContain('# ours');
    const { config } = parseConfigFile(text, 'f');
    expect(config.target).toBe('staging');
    expect(Object.keys(config.targets)).toEqual(['staging', 'my-staging']);
    expect(hasTarget(text, 'my-staging')).toBe(true);
    expect(hasTarget(good, 'my-staging')).toBe(false);
  });
});

describe('env files', () => {
  test('what dashboards, shells and `trollfix status --env` write', () => {
    const text = `# keys\nexport A=1\nB="two words" # said\nC='$raw'\nD=plain # comment\nE=a=b#c\n\nF="l1\\nl2"\r\nG=\n`;
    expect(parseEnvFile(text, '.env')).toEqual({
      A: '1',
      B: 'two words',
      C: '$raw',
      D: 'plain',
      E: 'a=b#c',
      F: 'l1\nl2',
      G: '',
    });
  });

  test('a line that is none is named by its number, not by its text', () => {
    const error = refusal(() => parseEnvFile('A=1\nsecret-canary\n', '.env'));
    expect(error.message).toBe('.env:2: not a NAME=value line');
    expect(JSON.stringify(error)).not.toContain('canary');
  });
});
