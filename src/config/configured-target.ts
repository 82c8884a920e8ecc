import { TrollfixError } from '../kernel/errors.ts';
import { Secret } from '../kernel/redact.ts';
import type { MergedSettings } from './layers.ts';
import { settings } from './settings.ts';
import type { Target, TargetLimits } from './target.ts';

/**
 * A target from its merged settings.
 * @throws TF-CFG-005 when the two settings that nothing works without are missing, or LiveKit is only half described
 */
export function configuredTarget(
  name: string,
  { values, unset }: MergedSettings,
  limits: TargetLimits | undefined,
): Target {
  const text = (key: string) => values.get(key)?.value;
  const secret = (key: string) => {
    const value = text(key);
    return value === undefined ? undefined : new Secret(value);
  };
  const need = (key: string) => {
    const value = text(key);
    if (value === undefined) throw missingSetting(name, key, unset.get(key)?.variable);
    return value;
  };
  // described but without its key in the environment it cannot be used: whoever needs LiveKit says so
  const hasLiveKit = ['livekit.url', 'livekit.apiKey', 'livekit.apiSecret'].every((key) => !unset.has(key));
  const mentionsLiveKit = ['livekit.url', 'livekit.apiKey', 'livekit.apiSecret'].some((key) =>
    values.has(key),
  );
  const hlsUrl = text('hls.url');
  return {
    name,
    kind: 'supabase',
    supabaseUrl: need('supabaseUrl').replace(/\/+$/, ''),
    anonKey: new Secret(need('anonKey')),
    serviceRoleKey: secret('serviceRoleKey'),
    jwtSecret: secret('jwtSecret'),
    jwtSigningKey: secret('jwtSigningKey'),
    databaseUrl: secret('databaseUrl'),
    livekit:
      hasLiveKit && mentionsLiveKit
        ? {
            url: need('livekit.url'),
            apiKey: need('livekit.apiKey'),
            apiSecret: new Secret(need('livekit.apiSecret')),
            gateUrl: text('livekit.gateUrl'),
          }
        : undefined,
    hls: hlsUrl === undefined ? undefined : { url: hlsUrl },
    tokenEndpoint: text('tokenEndpoint'),
    limits,
  };
}

/** TF-CFG-005 that names where the setting can be given. */
function missingSetting(target: string, key: string, referred: string | undefined): TrollfixError {
  const variable = referred ?? settings.find((setting) => setting.key === key)?.env[0] ?? '';
  return new TrollfixError('TF-CFG-005', `target "${target}" has no ${key}`, {
    ...(referred === undefined ? {} : { why: `trollfix.yaml refers to ${referred}, which is not set` }),
    hint: `set ${variable}, or write \`${key}\` under \`targets.${target}\` in trollfix.yaml (\`trollfix init\`)`,
    details: { target, setting: key, variable },
  });
}
