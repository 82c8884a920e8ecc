import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TrollfixError } from '../kernel/errors.ts';
import { type Migration, readMigrations } from './migrations.ts';

export interface ExportResult {
  /** `<dir>/supabase/migrations`, absolute. */
  readonly folder: string;
  readonly written: string[];
  /** Files that were there already with the same text. */
  readonly unchanged: string[];
}

/**
 * A fixed day as the Supabase CLI's version: versions only need an order, and one that never changes. 000001 is
 * …000001, so exporting again gives the same names.
 */
const versionBase = 20_260_101_000_000n;

/**
 * Writes the migrations in the Supabase CLI's form, `supabase/migrations/<timestamp>_<name>.sql`, for projects that
 * deploy with `supabase db push`. Never overwrites a file of another text.
 *
 * @throws TF-PROV-004 when a file of that name has another text
 */
export async function exportSupabase(
  dir: string,
  options: { migrations?: readonly Migration[] } = {},
): Promise<ExportResult> {
  const migrations = options.migrations ?? (await readMigrations());
  const folder = path.resolve(dir, 'supabase', 'migrations');
  await mkdir(folder, { recursive: true });
  const present = new Set(await readdir(folder));
  const [written, unchanged]: [string[], string[]] = [[], []];
  for (const migration of migrations) {
    const name = supabaseFileName(migration.name);
    const file = path.join(folder, name);
    if (!present.has(name)) {
      await writeFile(file, migration.sql, { flag: 'wx' });
      written.push(name);
    } else if ((await readFile(file, 'utf8')) === migration.sql) {
      unchanged.push(name);
    } else {
      throw new TrollfixError('TF-PROV-004', `${file} is there with another text`, {
        why: 'a migration that may have been pushed must not change',
        hint: 'move the file away, or put your change into a migration of its own',
      });
    }
  }
  return { folder, written, unchanged };
}

/** `000001_foundation` → `20260101000001_trollfix_foundation.sql` */
export function supabaseFileName(name: string): string {
  const [number, ...words] = name.split('_');
  return `${versionBase + BigInt(number ?? 0)}_trollfix_${words.join('_')}.sql`;
}
