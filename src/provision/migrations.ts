import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { packageRoot } from '../kernel/package-root.ts';

/** One immutable step of the schema: `000001_foundation.sql`. */
export interface Migration {
  /** File name without `.sql`. */
  readonly name: string;
  readonly sql: string;
  /** sha256 of the text with LF line ends, so that a checkout on Windows is no edit. */
  readonly checksum: string;
}

const migrationName = /^\d{6}_[a-z0-9_]+\.sql$/;

/** The migrations shipped with this version, in order. A file of any other name is a mistake and throws. */
export async function readMigrations(dir = path.join(packageRoot, 'migrations')): Promise<Migration[]> {
  const files = (await readdir(dir)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file) => {
      if (!migrationName.test(file)) throw new Error(`${file} is not named like 000001_what.sql`);
      const sql = (await readFile(path.join(dir, file), 'utf8')).replaceAll('\r\n', '\n');
      return {
        name: file.slice(0, -'.sql'.length),
        sql,
        checksum: createHash('sha256').update(sql).digest('hex'),
      };
    }),
  );
}
