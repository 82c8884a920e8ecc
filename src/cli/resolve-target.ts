import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseConfigFile } from '../config/config-file.ts';
import { configuredTarget } from '../config/configured-target.ts';
import { parseEnvFile } from '../config/env-file.ts';
import {
  chooseTarget,
  embeddedName,
  type Layers,
  type MergedSettings,
  mergeSettings,
  targetLimits,
  unknownVariables,
} from '../config/layers.ts';
import { settings } from '../config/settings.ts';
import type { Target } from '../config/target.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import { redact } from '../kernel/redact.ts';
import { readStackState, requireStack, stackTarget } from '../local/stack-state.ts';
import type { Configuration, GlobalFlags, SettingOrigin } from './command.ts';
import { configFileName } from './project-dir.ts';

export interface TargetResolver {
  /** @throws TF-CFG-*; TF-STK-001 when it is the embedded one and the stack is not up */
  target(): Promise<Target>;
  configuration(): Promise<Configuration>;
}

export interface ResolverParts {
  readonly globals: Pick<GlobalFlags, 'target' | 'config' | 'envFile'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly projectDir: string;
  readonly stateDir: string;
  readonly readStdin: () => Promise<string>;
  /** Told of every secret as soon as it is known, before anything is printed. */
  readonly learnSecret: (secret: string) => void;
  readonly log: Logger;
}

/** Reads the configuration once; each question is answered from the same reading. */
export async function createTargetResolver(parts: ResolverParts): Promise<TargetResolver> {
  const layers = await readLayers(parts);
  const chosen = chooseTarget(layers);
  for (const { name, didYouMean } of unknownVariables(parts.env)) {
    parts.log.warn(`${name} means nothing to trollfix; did you mean ${didYouMean}?`);
  }
  const isEmbedded = chosen.name === embeddedName;
  const merged = isEmbedded ? { values: new Map(), unset: new Map() } : mergeSettings(chosen.name, layers);
  for (const setting of settings) {
    const value = merged.values.get(setting.key)?.value;
    if (value !== undefined && isHidden(setting)) parts.learnSecret(value);
  }
  return {
    target: async () => {
      if (!isEmbedded) return configuredTarget(chosen.name, merged, targetLimits(chosen.name, layers));
      const target = stackTarget(await requireStack(parts.stateDir));
      for (const secret of secretsOf(target)) parts.learnSecret(secret);
      return target;
    },
    configuration: async () => ({
      target: { name: chosen.name, kind: isEmbedded ? 'embedded' : 'supabase' },
      file: layers.file?.name,
      settings: [
        { setting: 'target', shown: chosen.name, origin: chosen.origin },
        ...(isEmbedded ? embeddedOrigins(parts.stateDir) : configuredOrigins(merged)),
      ],
    }),
  };
}

function configuredOrigins({ values, unset }: MergedSettings): SettingOrigin[] {
  const given = [...values].map(([key, { value, origin }]) => ({
    setting: key,
    shown: shownValue(key, value),
    origin,
  }));
  const missing = [...unset].map(([key, { place, variable }]) => ({
    setting: key,
    shown: '(not set)',
    origin: `${place} → ${variable}`,
  }));
  return [...given, ...missing];
}

function isHidden(setting: (typeof settings)[number]): boolean {
  return setting.kind === 'secret' || setting.key === 'anonKey';
}

function shownValue(key: string, value: string): string {
  const setting = settings.find((one) => one.key === key);
  // of a database URL everything but its password may be seen, and is what one wants to see
  if (key === 'databaseUrl') return redact(value);
  return setting && isHidden(setting) ? '[redacted]' : redact(value);
}

function embeddedOrigins(stateDir: string): SettingOrigin[] {
  const state = readStackState(stateDir);
  if (!state) return [];
  const origin = path.join(path.basename(stateDir), 'stack.json');
  const target = stackTarget(state);
  const rows: Array<[string, string | undefined]> = [
    ['supabaseUrl', target.supabaseUrl],
    ['anonKey', '[redacted]'],
    ['serviceRoleKey', target.serviceRoleKey && '[redacted]'],
    ['jwtSecret', target.jwtSecret && '[redacted]'],
    ['databaseUrl', target.databaseUrl && redact(target.databaseUrl.reveal())],
    ['livekit.url', target.livekit?.url],
    ['livekit.gateUrl', target.livekit?.gateUrl],
    ['hls.url', target.hls?.url],
    ['tokenEndpoint', target.tokenEndpoint],
  ];
  return rows.flatMap(([setting, shown]) => (shown ? [{ setting, shown, origin }] : []));
}

function secretsOf(target: Target): string[] {
  return [
    target.anonKey,
    target.serviceRoleKey,
    target.jwtSecret,
    target.databaseUrl,
    target.livekit?.apiSecret,
  ].flatMap((secret) => (secret ? [secret.reveal()] : []));
}

async function readLayers({ globals, env, cwd, projectDir, readStdin }: ResolverParts): Promise<Layers> {
  const named = globals.config ?? env.TROLLFIX_CONFIG;
  const file = named ? path.resolve(cwd, named) : path.join(projectDir, configFileName);
  return {
    flags: { target: globals.target },
    env,
    envFile: globals.envFile === undefined ? undefined : await readEnvFile(globals.envFile, cwd, readStdin),
    file: readConfig(file, named !== undefined, cwd),
  };
}

async function readEnvFile(
  name: string,
  cwd: string,
  readStdin: () => Promise<string>,
): Promise<NonNullable<Layers['envFile']>> {
  if (name === '-') return { name: 'stdin', values: parseEnvFile(await readStdin(), 'stdin') };
  return { name, values: parseEnvFile(readNamed(path.resolve(cwd, name), '--env-file'), name) };
}

function readConfig(file: string, mustExist: boolean, cwd: string): Layers['file'] {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  if (mode === undefined && !mustExist) return undefined;
  const relative = path.relative(cwd, file);
  const name = relative === '' || relative.startsWith(`..${path.sep}..`) ? file : relative;
  return {
    ...parseConfigFile(readNamed(file, '--config'), name),
    readFile: (secretFile) => readIfThere(path.resolve(path.dirname(file), secretFile)),
    readableByOthers: ((mode ?? 0) & 0o077) !== 0,
  };
}

function readNamed(file: string, flag: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new TrollfixError('TF-CFG-001', `${file} cannot be read`, {
      why: messageOf(error),
      hint: `check the path given with ${flag}`,
      cause: error,
    });
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // whoever asks says which setting lacks its file
    return undefined;
  }
}
