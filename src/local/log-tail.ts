import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { redact } from '../kernel/redact.ts';

/** Lines kept in memory: enough to find the one that says why a service died. */
const linesKept = 40;

/** How far back an error is taken for the cause of an end; what stands before that was survived. */
const causeLines = 8;

/** Bytes of a line kept while waiting for its end: a line beyond that is cut. */
const lineBytesLimit = 64 * 1024;

/** What a service writes, on its way to its log file: secrets taken out, the last lines remembered. */
export class LogTail {
  readonly file: string;
  readonly #lines: string[] = [];
  readonly #out: WriteStream;
  #written = 0;

  private constructor(file: string, out: WriteStream) {
    this.file = file;
    this.#out = out;
  }

  /** Opens `file` for appending; a new start of the service continues its log. */
  static async open(file: string): Promise<LogTail> {
    await mkdir(path.dirname(file), { recursive: true });
    const out = createWriteStream(file, { flags: 'a', mode: 0o600 });
    // a full disk must not take the stack down: the service goes on, its log ends
    out.on('error', () => {});
    return new LogTail(file, out);
  }

  follow(stream: Readable | null): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = (parts.pop() ?? '').slice(0, lineBytesLimit);
      for (const line of parts) this.write(line);
    });
    stream?.on('end', () => {
      if (rest !== '') this.write(rest);
      rest = '';
    });
    stream?.on('error', () => {});
  }

  write(line: string): void {
    const clean = redact(line.trimEnd());
    if (clean === '') return;
    this.#written++;
    this.#lines.push(clean);
    if (this.#lines.length > linesKept) this.#lines.shift();
    this.#out.write(`${clean}\n`);
  }

  /**
   * The line that says most about an end: the last that speaks of an error among the last few, else the last.
   * Frames of a stack trace and Node's own farewell say nothing.
   */
  get lastLine(): string | undefined {
    const telling = this.#lines.filter((line) => !/^\s+at |^Node\.js v|^[\s{}()\]]*$/.test(line));
    return (
      telling.slice(-causeLines).findLast((line) => /error|fatal|panic|cannot|already in use/i.test(line)) ??
      telling.at(-1)
    );
  }

  /** Lines so far: whether a process has said anything yet. */
  get written(): number {
    return this.#written;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#out.end(() => resolve()));
  }
}
