import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TrollfixError } from '../kernel/errors.ts';
import {
  functionConfig,
  functionFiles,
  functionImports,
  functionName,
  isUntouched,
} from './edge-function.ts';
import { type Migration, readMigrations } from './migrations.ts';

export interface ExportResult {
  /** `<dir>/supabase/migrations`, absolute. */
  readonly folder: string;
  readonly written: string[];
  /** Files that were there already with the same text. */
  readonly unchanged: string[];
  /** The token endpoint as an Edge Function. */
  readonly edgeFunction: {
    /** `<dir>/supabase/functions/livekit-token`, absolute. */
    readonly folder: string;
    /** New, or replaced in the text of another version that nobody had edited. */
    readonly written: string[];
    readonly unchanged: string[];
  };
  readonly config: {
    /** `<dir>/supabase/config.toml`, absolute. */
    readonly file: string;
    /** `needs_entry`: it is there without the function's section, and is the project's own: `entry` belongs into it. */
    readonly state: 'written' | 'present' | 'needs_entry';
    readonly entry: string;
  };
}

/**
 * A fixed day as the Supabase CLI's version: versions only need an order, and one that never changes. 000001 is
 * …000001, so exporting again gives the same names.
 */
const versionBase = 20_260_101_000_000n;

/**
 * Writes the migrations and the token endpoint in the Supabase CLI's form, for projects that deploy with
 * `supabase db push` and `supabase functions deploy`. A migration is never overwritten by another text, and code
 * only where it is still as an export left it.
 *
 * @throws TF-PROV-004 when a file of that name has another text
 */
export async function exportSupabase(
  dir: string,
  options: { migrations?: readonly Migration[] } = {},
): Promise<ExportResult> {
  const migrations = options.migrations ?? (await readMigrations());
  const supabase = path.resolve(dir, 'supabase');
  const texts = migrations.map(({ name, sql }) => [supabaseFileName(name), sql] as const);
  const folder = path.join(supabase, 'migrations');
  const migrated = await writeAll(folder, texts, {
    replaces: () => false,
    why: 'a migration that may have been pushed must not change',
    hint: 'move the file away, or put your change into a migration of its own',
  });
  return {
    folder,
    ...migrated,
    edgeFunction: await exportFunction(path.join(supabase, 'functions', functionName)),
    config: await exportConfig(path.join(supabase, 'config.toml')),
  };
}

/** `000001_foundation` → `20260101000001_trollfix_foundation.sql` */
export function supabaseFileName(name: string): string {
  const [number, ...words] = name.split('_');
  return `${versionBase + BigInt(number ?? 0)}_trollfix_${words.join('_')}.sql`;
}

async function exportFunction(folder: string): Promise<ExportResult['edgeFunction']> {
  const code = await writeAll(folder, [...(await functionFiles())], {
    replaces: isUntouched,
    why: 'it was edited since it was exported',
    hint: 'move it away and export again, then bring your change to the new text',
  });
  const imports = path.join(folder, 'deno.json');
  // whoever pins versions does it here, so it stays as it is
  if ((await textOf(imports)) !== null) {
    return { folder, written: code.written, unchanged: [...code.unchanged, 'deno.json'] };
  }
  await writeFile(imports, functionImports, { flag: 'wx' });
  return { folder, written: [...code.written, 'deno.json'], unchanged: code.unchanged };
}

async function exportConfig(file: string): Promise<ExportResult['config']> {
  const present = await textOf(file);
  const entry = functionConfig;
  if (present === null) {
    await writeFile(file, `project_id = "trollfix"\n\n${entry}`, { flag: 'wx' });
    return { file, state: 'written', entry };
  }
  const hasEntry = present.split('\n').some((line) => line.trim() === `[functions.${functionName}]`);
  return { file, state: hasEntry ? 'present' : 'needs_entry', entry };
}

/**
 * Writes files that are missing, and those of another text where `replaces` says so of it. Looks at all of them
 * before it writes the first, so that a refusal leaves nothing half done.
 */
async function writeAll(
  folder: string,
  files: ReadonlyArray<readonly [name: string, text: string]>,
  rule: { replaces: (text: string) => boolean; why: string; hint: string },
): Promise<{ written: string[]; unchanged: string[] }> {
  await mkdir(folder, { recursive: true });
  const [due, unchanged]: [Array<readonly [string, string]>, string[]] = [[], []];
  for (const [name, text] of files) {
    const file = path.join(folder, name);
    const present = await textOf(file);
    if (present === text) unchanged.push(name);
    else if (present === null || rule.replaces(present)) due.push([file, text]);
    else {
      const { why, hint } = rule;
      throw new TrollfixError('TF-PROV-004', `${file} is there with another text`, { why, hint });
    }
  }
  for (const [file, text] of due) await writeFile(file, text);
  return { written: due.map(([file]) => path.basename(file)), unchanged };
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
