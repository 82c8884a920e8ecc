import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { messageOf } from '../kernel/errors.ts';
import type { Logger } from '../kernel/log.ts';
import { type Artifact, type RunRecord, runRecordSchema } from '../record/run-record.ts';
import { markdownReport } from '../report/markdown.ts';
import { writeFileAtomic } from './atomic-write.ts';
import { redactStrings } from './output/redactor.ts';

/** `2026-11-24T00-30-12Z-7f3a`: the second it started, and four hex digits so that two of a second differ. */
export function createRunId(nowMs: number, random16: number): string {
  const second = new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '-');
  return `${second}Z-${(random16 & 0xffff).toString(16).padStart(4, '0')}`;
}

export interface RunFolderOptions {
  readonly runId: string;
  /** `reports/` of the project. */
  readonly reportsDir: string;
  /** `--run-dir`: the folder itself, instead of `<reportsDir>/<runId>`. */
  readonly runDir?: string | undefined;
  /** Takes secrets out of a text: `context.redact`. */
  readonly redact: (text: string) => string;
  readonly log: Logger;
}

type UnsavedRecord = Omit<RunRecord, 'artifacts'>;
type LinkArtifacts = (record: UnsavedRecord, artifacts: readonly Artifact[]) => UnsavedRecord;

// A history is written faster than a disk takes it only when the disk hangs; past this, rows are counted as lost
// instead of filling the memory of the generator.
const backlogBytesLimit = 64 * 1024 * 1024;

/** The file in `reports/` that holds the id of the newest run. */
export const latestPointer = 'latest';

/**
 * The folder of one run: series while it runs, `run.json` and `report.md` whenever `save` is called. A run saves
 * what it has when it is interrupted, too; the last save wins, and each is whole.
 */
export class RunFolder {
  readonly runId: string;
  readonly path: string;
  readonly #options: RunFolderOptions;
  readonly #series = new Map<string, { stream: WriteStream; lost: number; failure: string | undefined }>();
  readonly #files = new Map<string, string>();

  private constructor(options: RunFolderOptions, folder: string) {
    this.runId = options.runId;
    this.path = folder;
    this.#options = options;
  }

  static async open(options: RunFolderOptions): Promise<RunFolder> {
    const folder = options.runDir ?? path.join(options.reportsDir, options.runId);
    await mkdir(folder, { recursive: true });
    return new RunFolder(options, folder);
  }

  /** Appends a row to `<folder>/<fileName>`. The signature of `ProbeContext.series`. */
  series = (fileName: string, row: Record<string, unknown>): void => {
    const entry = this.#seriesOf(fileName);
    if (entry.failure !== undefined || entry.stream.writableLength > backlogBytesLimit) {
      entry.lost += 1;
      return;
    }
    entry.stream.write(`${redactStrings(row, this.#options.redact)}\n`);
  };

  /** Writes a text beside the record, redacted, and lists it among the artifacts. */
  async write(fileName: string, kind: string, text: string): Promise<void> {
    const file = path.join(this.path, safeName(fileName));
    await mkdir(path.dirname(file), { recursive: true });
    await writeFileAtomic(file, this.#options.redact(text));
    this.#files.set(fileName, kind);
  }

  /**
   * Writes `run.json` and `report.md` and, in `reports/`, the pointer to the latest run.
   * @param link puts the digests of the folder's files where the record tells of them
   * @returns the record as written, with the artifacts of the folder
   */
  async save(draft: UnsavedRecord, link: LinkArtifacts = (unlinked) => unlinked): Promise<RunRecord> {
    await this.#closeSeries();
    const artifacts = await this.#artifacts();
    const record = link(draft, artifacts);
    // what is written has been checked against the schema that is shipped, and carries no secret
    const whole = runRecordSchema.parse(
      JSON.parse(redactStrings({ ...record, artifacts }, this.#options.redact)),
    );
    await writeFileAtomic(path.join(this.path, 'run.json'), `${JSON.stringify(whole, null, 2)}\n`);
    await writeFileAtomic(path.join(this.path, 'report.md'), markdownReport(whole));
    if (this.#options.runDir === undefined) {
      await writeFileAtomic(path.join(this.#options.reportsDir, latestPointer), `${this.runId}\n`);
    }
    return whole;
  }

  #seriesOf(fileName: string) {
    const known = this.#series.get(fileName);
    if (known) return known;
    const stream = createWriteStream(path.join(this.path, safeName(fileName)), { flags: 'a' });
    const entry = { stream, lost: 0, failure: undefined as string | undefined };
    stream.on('error', (error) => {
      entry.failure = messageOf(error);
    });
    this.#series.set(fileName, entry);
    this.#files.set(fileName, 'series');
    return entry;
  }

  async #closeSeries(): Promise<void> {
    for (const [fileName, { stream, lost, failure }] of this.#series) {
      stream.end();
      await finished(stream).catch((error) => {
        this.#options.log.warn(`${fileName} is not whole: ${messageOf(error)}`);
      });
      if (lost > 0) this.#options.log.warn(`${fileName} lacks ${lost} rows${failure ? `: ${failure}` : ''}`);
    }
    // a later row opens its file again and appends to it
    this.#series.clear();
  }

  async #artifacts(): Promise<Artifact[]> {
    const artifacts: Artifact[] = [];
    for (const [fileName, kind] of this.#files) {
      try {
        const sha256 = await fileSha256(path.join(this.path, fileName));
        artifacts.push({ path: fileName, kind, sha256 });
      } catch (error) {
        // a series whose file could not be opened: the record of the run is worth more than its rows
        this.#options.log.warn(`${fileName} is not among the artifacts: ${messageOf(error)}`);
      }
    }
    return artifacts;
  }
}

/** A name inside the folder: no way out of it. */
function safeName(fileName: string): string {
  const normal = path.posix.normalize(fileName);
  if (path.isAbsolute(normal) || normal.startsWith('..'))
    throw new Error(`not inside the run's folder: ${fileName}`);
  return normal;
}

export async function fileSha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}
