import { open, readFile, stat } from 'node:fs/promises';

/** Bytes of a log that are looked at in one go: a hundred thousand lines need no more here. */
const tailBytes = 8 * 1024 * 1024;

/** Reads a log file from its end on: its last lines, then what is added. */
export class LogTail {
  readonly #file: string;
  #position = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** The last lines, and from now on only what comes after them; undefined when there is no such file. */
  async last(count: number): Promise<string[] | undefined> {
    const size = await this.#size();
    if (size === undefined) return undefined;
    this.#position = size;
    if (count === 0) return [];
    return linesOf(await this.#read(Math.max(0, size - tailBytes), size)).slice(-count);
  }

  /** The whole lines that were added since the last look. */
  async added(): Promise<string[]> {
    const size = (await this.#size()) ?? 0;
    // a log that is shorter than before was begun anew
    const start = size < this.#position ? 0 : this.#position;
    if (size === start) return [];
    const text = await this.#read(start, Math.min(size, start + tailBytes));
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    this.#position = start + Buffer.byteLength(whole);
    return linesOf(whole);
  }

  async #size(): Promise<number | undefined> {
    return (await stat(this.#file).catch(() => undefined))?.size;
  }

  async #read(start: number, end: number): Promise<string> {
    if (start === 0) return (await readFile(this.#file)).subarray(0, end).toString('utf8');
    await using handle = await open(this.#file, 'r');
    const buffer = Buffer.alloc(end - start);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
    return buffer.subarray(0, bytesRead).toString('utf8');
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
