import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { type RunRecord, runRecordSchema } from '../record/run-record.ts';
import { latestPointer } from './run-folder.ts';

export interface StoredRun {
  readonly record: RunRecord;
  readonly folder: string;
}

/**
 * Finds a run and reads its record.
 * @param name a run id, the start of one, a folder, a run.json; undefined means the latest
 * @throws TF-REP-001 when there is no such run, TF-REP-002 when its run.json is not a run record
 */
export function readRun(name: string | undefined, places: { reportsDir: string; cwd: string }): StoredRun {
  const folder = findFolder(name, places);
  const file = path.join(folder, 'run.json');
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new TrollfixError('TF-REP-002', `${file} is not JSON`, { why: messageOf(error), cause: error });
  }
  const parsed = runRecordSchema.safeParse(json);
  if (parsed.success) return { record: parsed.data, folder };
  const [issue] = parsed.error.issues;
  throw new TrollfixError('TF-REP-002', `${file} is not a trollfix.run/v1 record`, {
    why: issue
      ? `${issue.path.join('.') || 'the document'}: ${issue.message}`
      : 'it does not match the schema',
    hint: 'its form: `trollfix schema run`',
  });
}

function findFolder(
  name: string | undefined,
  { reportsDir, cwd }: { reportsDir: string; cwd: string },
): string {
  if (name === undefined) return latestFolder(reportsDir);
  for (const candidate of [path.join(reportsDir, name), path.resolve(cwd, name)]) {
    if (hasRecord(candidate)) return candidate;
    if (path.basename(candidate) === 'run.json' && isFile(candidate)) return path.dirname(candidate);
  }
  const matches = runIds(reportsDir).filter((id) => id.startsWith(name));
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return path.join(reportsDir, only);
  throw new TrollfixError('TF-REP-001', `there is no run "${name}"`, {
    why:
      matches.length > 1
        ? `${matches.length} runs start like that: ${matches.slice(-5).join(', ')}`
        : `nothing in ${reportsDir} is called so, and it is no folder with a run.json`,
    hint: newestHint(reportsDir),
    details: { run: name, matches },
  });
}

function latestFolder(reportsDir: string): string {
  try {
    const id = readFileSync(path.join(reportsDir, latestPointer), 'utf8').trim();
    if (hasRecord(path.join(reportsDir, id))) return path.join(reportsDir, id);
  } catch {
    // no pointer: the ids sort by time, so the last of them is the newest
  }
  const newest = runIds(reportsDir).at(-1);
  if (newest !== undefined) return path.join(reportsDir, newest);
  throw new TrollfixError('TF-REP-001', `there is no run in ${reportsDir} yet`, {
    hint: 'make one: `trollfix drill --quick`',
  });
}

function newestHint(reportsDir: string): string {
  const newest = runIds(reportsDir).slice(-3);
  return newest.length > 0
    ? `the newest: ${newest.reverse().join(', ')}`
    : 'make one: `trollfix drill --quick`';
}

/** Ids of the runs that left a record, oldest first. */
export function runIds(reportsDir: string): string[] {
  try {
    return readdirSync(reportsDir)
      .filter((name) => hasRecord(path.join(reportsDir, name)))
      .sort();
  } catch {
    // no folder of reports: no runs
    return [];
  }
}

function hasRecord(folder: string): boolean {
  return isFile(path.join(folder, 'run.json'));
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
