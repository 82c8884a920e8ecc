import path from 'node:path';
import { parseRatePerSecond } from '../kernel/duration.ts';
import { TrollfixError } from '../kernel/errors.ts';
import { isLoopbackHost } from '../kernel/loopback.ts';
import { nearest } from '../kernel/nearest.ts';
import type { ConfigFile } from './config-file.ts';
import type { ConfigValue, TargetConfig } from './config-schema.ts';
import { otherVariables, type Setting, settings } from './settings.ts';
import type { TargetLimits } from './target.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Everything that can say something about the target, strongest first. */
export interface Layers {
  readonly flags: { readonly target: string | undefined };
  readonly env: Env;
  /** The variables of `--env-file`, and how the file is called. */
  readonly envFile: { readonly name: string; readonly values: Env } | undefined;
  readonly file: (ConfigFile & SecretFiles) | undefined;
}

interface SecretFiles {
  /** Reads the file of `{ file: path }`, from the folder of trollfix.yaml; undefined when it is not there. */
  readonly readFile: (path: string) => string | undefined;
  /** Whether others on this machine may read trollfix.yaml. */
  readonly readableByOthers: boolean;
}

/** A value and where it came from. */
export interface Sourced {
  readonly value: string;
  readonly origin: string;
  /** It stands written out in trollfix.yaml. */
  readonly literal: boolean;
}

export const embeddedName = 'embedded';
/** The target that the environment alone describes. */
export const environmentName = 'env';

export interface ChosenTarget {
  readonly name: string;
  readonly origin: string;
}

/**
 * Which target is meant: `--target`, `TROLLFIX_TARGET`, `target:` of trollfix.yaml; else the one the environment
 * describes (`TROLLFIX_SUPABASE_URL` or an env file with a Supabase URL), else the embedded stack.
 * @throws TF-CFG-004
 */
export function chooseTarget({ flags, env, envFile, file }: Layers): ChosenTarget {
  const fromFile = file?.config.target;
  const chosen: ChosenTarget | undefined =
    (flags.target && { name: flags.target, origin: '--target' }) ||
    (env.TROLLFIX_TARGET && { name: env.TROLLFIX_TARGET, origin: 'TROLLFIX_TARGET' }) ||
    (envFile?.values.TROLLFIX_TARGET && {
      name: envFile.values.TROLLFIX_TARGET,
      origin: `${envFile.name}: TROLLFIX_TARGET`,
    }) ||
    (fromFile && file && { name: fromFile, origin: `${file.name}:${file.lineOf(['target'])}` }) ||
    undefined;
  const described = sourceFromEnvironment(settingOf('supabaseUrl'), env, envFile);
  if (!chosen) {
    return described
      ? { name: environmentName, origin: described.origin }
      : { name: embeddedName, origin: 'embedded default' };
  }
  const known = [
    embeddedName,
    ...Object.keys(file?.config.targets ?? {}),
    ...(described ? [environmentName] : []),
  ];
  if (known.includes(chosen.name)) return chosen;
  const near = nearest(chosen.name, known);
  throw new TrollfixError('TF-CFG-004', `there is no target "${chosen.name}" (from ${chosen.origin})`, {
    why: `the targets are: ${known.join(', ')}`,
    hint: near ? `did you mean \`--target ${near}\`?` : 'name one of them, or add it with `trollfix init`',
    details: { target: chosen.name, known, didYouMean: near ?? null },
  });
}

export interface MergedSettings {
  readonly values: ReadonlyMap<string, Sourced>;
  /**
   * Settings that trollfix.yaml refers to a variable for which is not set. They count as not given: not every command
   * needs every setting, and the one that does names the variable.
   */
  readonly unset: ReadonlyMap<string, { readonly place: string; readonly variable: string }>;
}

/** The settings of a target that is not the embedded one, each from the strongest layer that has it. */
export function mergeSettings(name: string, layers: Layers): MergedSettings {
  const values = new Map<string, Sourced>();
  const unset = new Map<string, UnsetVariable>();
  for (const setting of settings) {
    const source =
      sourceFromEnvironment(setting, layers.env, layers.envFile) ?? sourceFromFile(name, setting, layers);
    if (!source) continue;
    if ('variable' in source) {
      unset.set(setting.key, source);
      continue;
    }
    assertForm(setting, source);
    values.set(setting.key, source);
  }
  assertSecretsPlace(name, values, layers);
  return { values, unset };
}

/** Limits come from trollfix.yaml alone: what may be done to a target is not for a variable to loosen. */
export function targetLimits(name: string, { file }: Layers): TargetLimits | undefined {
  const limits = file?.config.targets[name]?.limits;
  if (!limits) return undefined;
  const { maxRate, maxUsers, chaos } = limits;
  return { maxRate: typeof maxRate === 'number' ? maxRate : parseRatePerSecond(maxRate), maxUsers, chaos };
}

/** Variables that start like ours and mean nothing, with the one that was probably meant. */
export function unknownVariables(env: Env): Array<{ name: string; didYouMean: string | undefined }> {
  const known = [...settings.flatMap((setting) => setting.env), ...otherVariables];
  return Object.keys(env)
    .filter((name) => name.startsWith('TROLLFIX_') && !known.includes(name))
    .map((name) => ({ name, didYouMean: nearest(name, known) }))
    .filter((unknown) => unknown.didYouMean !== undefined);
}

function settingOf(key: string): Setting {
  const setting = settings.find((one) => one.key === key);
  if (!setting) throw new Error(`no setting ${key}`);
  return setting;
}

function sourceFromEnvironment(setting: Setting, env: Env, envFile: Layers['envFile']): Sourced | undefined {
  for (const name of setting.env) {
    const value = env[name];
    if (value) return { value, origin: name, literal: false };
  }
  if (!envFile) return undefined;
  for (const name of [...setting.env, ...setting.envFile]) {
    const value = envFile.values[name];
    if (value) return { value, origin: `${envFile.name}: ${name}`, literal: false };
  }
  return undefined;
}

interface UnsetVariable {
  readonly place: string;
  readonly variable: string;
}

function sourceFromFile(
  name: string,
  setting: Setting,
  { file, env, envFile }: Layers,
): Sourced | UnsetVariable | undefined {
  const target = file?.config.targets[name];
  if (!file || !target) return undefined;
  for (const key of [setting.key, ...setting.aliases]) {
    const written = valueAt(target, key);
    if (written === undefined) continue;
    const line = file.lineOf(['targets', name, ...key.split('.')]);
    const place = `${file.name}:${line}`;
    return readValue(written, {
      place,
      key: `targets.${name}.${key}`,
      env: { ...envFile?.values, ...env },
      file,
    });
  }
  return undefined;
}

function valueAt(target: TargetConfig, key: string): ConfigValue | undefined {
  let node: unknown = target;
  for (const step of key.split('.')) {
    if (typeof node !== 'object' || node === null) return undefined;
    // an object of our own schema: reading an absent key gives undefined
    node = (node as Record<string, unknown>)[step];
  }
  // the schema has checked that this is one
  return node as ConfigValue | undefined;
}

interface ReadFrom {
  readonly place: string;
  readonly key: string;
  readonly env: Env;
  readonly file: SecretFiles;
}

function readValue(written: ConfigValue, { place, key, env, file }: ReadFrom): Sourced | UnsetVariable {
  const missing = (what: string, hint: string) =>
    new TrollfixError('TF-CFG-003', `${place}: ${key}: ${what}`, { hint, details: { place, key } });
  const variable = (name: string) => {
    const value = env[name];
    if (!value)
      throw missing(`the variable ${name} is not set`, `set it: \`export ${name}=…\`, or use --env-file`);
    return value;
  };
  if (typeof written === 'string') {
    const value = written.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => variable(name));
    const literal = value === written;
    return { value, origin: literal ? place : `${place} with variables`, literal };
  }
  if ('env' in written) {
    const value = env[written.env];
    if (!value) return { place, variable: written.env };
    return { value, origin: `${place} → ${written.env}`, literal: false };
  }
  const text = file.readFile(written.file);
  if (text === undefined) {
    throw missing(`the file ${written.file} cannot be read`, `write the value into ${written.file}`);
  }
  return { value: text.trim(), origin: `${place} → ${path.basename(written.file)}`, literal: false };
}

function assertForm(setting: Setting, { value, origin }: Sourced): void {
  if (!setting.schemes) return;
  const url = URL.parse(value);
  const scheme = url?.protocol.slice(0, -1);
  if (url && scheme !== undefined && setting.schemes.includes(scheme) && url.hostname !== '') return;
  throw new TrollfixError(
    'TF-CFG-003',
    `${origin}: ${setting.key} is not a ${setting.schemes.join(' or ')} URL`,
    {
      hint: `write it as ${setting.schemes[0]}://host…`,
      details: { setting: setting.key, origin },
    },
  );
}

/**
 * A secret that is written out in trollfix.yaml is only taken when the target is this machine (development keys), or
 * when nobody else can read the file, as libpq and ssh ask of theirs.
 */
function assertSecretsPlace(name: string, merged: ReadonlyMap<string, Sourced>, { file }: Layers): void {
  const url = URL.parse(merged.get('supabaseUrl')?.value ?? '');
  if (!file?.readableByOthers || (url && isLoopbackHost(url.hostname))) return;
  for (const { key, kind, env, aliases } of settings) {
    const source = merged.get(key);
    if (kind !== 'secret' || !source?.literal) continue;
    // a database URL without a password holds no secret
    if (key === 'databaseUrl' && !URL.parse(source.value)?.password) continue;
    throw new TrollfixError(
      'TF-CFG-003',
      `${source.origin}: ${[key, ...aliases].join(' or ')} of ${name} is written out`,
      {
        why: 'the file can be read by others on this machine, and would carry the secret into a repository',
        hint: `write \`{ env: ${env[0]} }\` there and export the variable; or \`chmod 600 ${file.name}\``,
        details: { setting: key, origin: source.origin },
      },
    );
  }
}
