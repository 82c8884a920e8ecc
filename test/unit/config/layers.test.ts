import { describe, expect, test } from 'vitest';
import { parseConfigFile } from '../../../src/config/config-file.ts';
import { configuredTarget } from '../../../src/config/configured-target.ts';
import {
  chooseTarget,
  type Layers,
  mergeSettings,
  targetLimits,
  unknownVariables,
} from '../../../src/config/layers.ts';
import { refusal } from './refusal.ts';

const yaml = `target: staging
targets:
  staging:
    supabaseUrl: https://abcd.supabase.co
    publishableKey: sb_publishable_abc
    secretKey: { env: STAGING_KEY }
    databaseUrl: postgresql://postgres:\${DB_PASSWORD}@db.example.com/postgres
    jwtSecret: { file: jwt.txt }
    livekit: { url: wss://x.livekit.cloud, apiKey: key, apiSecret: { env: LK_SECRET } }
    limits: { maxRate: 3000/m, maxUsers: 10, chaos: true }
  local:
    supabaseUrl: http://127.0.0.1:54321
    anonKey: anon
    serviceRoleKey: written-out
`;

interface Given {
  target?: string;
  env?: Record<string, string>;
  envFile?: Record<string, string>;
  text?: string | null;
  readableByOthers?: boolean;
}

function layers({ target, env = {}, envFile, text = yaml, readableByOthers = true }: Given): Layers {
  return {
    flags: { target },
    env,
    envFile: envFile && { name: '.env', values: envFile },
    file:
      text === null
        ? undefined
        : {
            ...parseConfigFile(text, 'trollfix.yaml'),
            readFile: (name) => (name === 'jwt.txt' ? 'from-the-file\n' : undefined),
            readableByOthers,
          },
  };
}

const env = { STAGING_KEY: 'sb_secret_1', DB_PASSWORD: 'pw', LK_SECRET: 'lk' };

describe('which target', () => {
  test.each<[string, Given, string, string]>([
    ['nothing said', { text: null }, 'embedded', 'embedded default'],
    ['the file', {}, 'staging', 'trollfix.yaml:1'],
    ['the environment over the file', { env: { TROLLFIX_TARGET: 'local' } }, 'local', 'TROLLFIX_TARGET'],
    ['the flag over all', { target: 'embedded', env: { TROLLFIX_TARGET: 'local' } }, 'embedded', '--target'],
    [
      'an env file',
      { text: null, envFile: { SUPABASE_URL: 'http://127.0.0.1:1' } },
      'env',
      '.env: SUPABASE_URL',
    ],
    [
      'a target that the environment alone describes',
      { text: null, env: { TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:1' } },
      'env',
      'TROLLFIX_SUPABASE_URL',
    ],
  ])('%s', (_, given, name, origin) => {
    expect(chooseTarget(layers(given))).toEqual({ name, origin });
  });

  test('one that is not there: all there are, and the nearest', () => {
    const error = refusal(() => chooseTarget(layers({ target: 'stagin' })));
    expect(error.code).toBe('TF-CFG-004');
    expect(error.hint).toContain('--target staging');
  });

  test('plain names of the process environment mean nothing: they may belong to the app beside us', () => {
    expect(chooseTarget(layers({ text: null, env: { SUPABASE_URL: 'https://x.supabase.co' } })).name).toBe(
      'embedded',
    );
  });
});

describe('each setting from the strongest layer', () => {
  test('with its origin', () => {
    const { values } = mergeSettings(
      'staging',
      layers({ env: { ...env, TROLLFIX_HLS_URL: 'https://h/m.m3u8' } }),
    );
    expect(Object.fromEntries([...values].map(([key, { origin }]) => [key, origin]))).toEqual({
      supabaseUrl: 'trollfix.yaml:4',
      anonKey: 'trollfix.yaml:5',
      serviceRoleKey: 'trollfix.yaml:6 → STAGING_KEY',
      databaseUrl: 'trollfix.yaml:7 with variables',
      jwtSecret: 'trollfix.yaml:8 → jwt.txt',
      'livekit.url': 'trollfix.yaml:9',
      'livekit.apiKey': 'trollfix.yaml:9',
      'livekit.apiSecret': 'trollfix.yaml:9 → LK_SECRET',
      'hls.url': 'TROLLFIX_HLS_URL',
    });
    expect(values.get('databaseUrl')?.value).toBe('postgresql://postgres:pw@db.example.com/postgres');
    expect(values.get('jwtSecret')?.value).toBe('from-the-file');
  });

  test('environment > env file > trollfix.yaml', () => {
    const at = (given: Given) => mergeSettings('staging', layers(given)).values.get('supabaseUrl')?.value;
    const envFile = { SUPABASE_URL: 'https://two.example' };
    expect(at({ env, envFile })).toBe('https://two.example');
    expect(at({ env: { ...env, TROLLFIX_SUPABASE_URL: 'https://one.example' }, envFile })).toBe(
      'https://one.example',
    );
  });

  test('a variable that is not set leaves its setting out, and whoever needs it names the variable', () => {
    const merged = mergeSettings('staging', layers({ env: { DB_PASSWORD: 'pw' } }));
    expect(merged.unset.get('serviceRoleKey')).toEqual({ place: 'trollfix.yaml:6', variable: 'STAGING_KEY' });
    const target = configuredTarget('staging', merged, undefined);
    expect(target.serviceRoleKey).toBeUndefined();
    expect(target.livekit).toBeUndefined();
    const bare = mergeSettings(
      'staging',
      layers({ text: yaml.replace('sb_publishable_abc', '{ env: PUB }'), env }),
    );
    const error = refusal(() => configuredTarget('staging', bare, undefined));
    expect(error.code).toBe('TF-CFG-005');
    expect(error.hint).toContain('set PUB');
  });

  test('a variable inside a text must be set', () => {
    const error = refusal(() => mergeSettings('staging', layers({ env: {} })));
    expect(error.message).toBe(
      'trollfix.yaml:7: targets.staging.databaseUrl: the variable DB_PASSWORD is not set',
    );
  });

  test('a value of the wrong form is told by its origin, never by its text', () => {
    const error = refusal(() =>
      mergeSettings('staging', layers({ env: { ...env, TROLLFIX_DATABASE_URL: 'mysql://u:canary@h/d' } })),
    );
    expect(error.code).toBe('TF-CFG-003');
    expect(error.message).toContain('TROLLFIX_DATABASE_URL');
    expect(JSON.stringify(error) + error.message).not.toContain('canary');
  });

  test('limits come from the file alone, in operations per second', () => {
    expect(targetLimits('staging', layers({}))).toEqual({ maxRate: 50, maxUsers: 10, chaos: true });
    expect(targetLimits('local', layers({}))).toBeUndefined();
  });

  test('a variable of ours that is mistyped is told', () => {
    expect(unknownVariables({ TROLLFIX_SUPABSE_URL: 'x', PATH: 'y', TROLLFIX_TARGET: 'z' })).toEqual([
      { name: 'TROLLFIX_SUPABSE_URL', didYouMean: 'TROLLFIX_SUPABASE_URL' },
    ]);
  });
});

describe('a secret that is written out', () => {
  const far = yaml.replace('{ env: STAGING_KEY }', 'sb_secret_written');

  test('is refused where others can read it, without being shown', () => {
    const error = refusal(() => mergeSettings('staging', layers({ text: far, env })));
    expect(error.code).toBe('TF-CFG-003');
    expect(error.message).toContain('trollfix.yaml:6: serviceRoleKey or secretKey of staging is written out');
    expect(error.hint).toContain('chmod 600');
    expect(error.message + error.hint + error.why).not.toContain('sb_secret_written');
  });

  test('is taken from a file only its owner can read, and for this machine', () => {
    const closed = mergeSettings('staging', layers({ text: far, env, readableByOthers: false }));
    expect(closed.values.get('serviceRoleKey')?.value).toBe('sb_secret_written');
    expect(mergeSettings('local', layers({})).values.get('serviceRoleKey')?.value).toBe('written-out');
  });

  test('the password of a database URL counts, a URL without one does not', () => {
    const withPassword = yaml.replace(`\${DB_PASSWORD}`, 'literal');
    expect(refusal(() => mergeSettings('staging', layers({ text: withPassword, env }))).message).toContain(
      'databaseUrl',
    );
    const without = yaml.replace(`:\${DB_PASSWORD}`, '');
    expect(mergeSettings('staging', layers({ text: without, env })).values.has('databaseUrl')).toBe(true);
  });
});
