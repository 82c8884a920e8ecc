import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { sleep } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { nearest } from '../../kernel/nearest.ts';
import { serviceNames } from '../../local/service-names.ts';
import type { CommandContext, CommandInput, CommandResult, Style } from '../command.ts';
import { numberOption } from '../input-values.ts';

const logNames = [...serviceNames, 'supervisor'] as const;

type LogName = (typeof logNames)[number];

interface LogLine {
  readonly service: LogName;
  readonly text: string;
}

const linesByDefault = 20;

/** How often a followed log is looked at: soon enough for a person, and next to no work. */
const followEveryMs = 250;

/** Bytes of a log's end that are looked at for its last lines: a hundred thousand lines need no more here. */
const tailBytes = 8 * 1024 * 1024;

export async function runLogs(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const names = chosenNames(input.arguments.service);
  const count = numberOption(input, 'lines') ?? linesByDefault;
  const fileOf = (name: LogName) => path.join(context.stateDir, 'logs', `${name}.log`);
  const logs = await Promise.all(
    names.map(async (name) => ({ name, ...(await readTail(fileOf(name), count)) })),
  );
  if (logs.every((log) => log.size === undefined) && !input.options.follow) {
    throw new TrollfixError('TF-STK-001', `there are no logs in ${path.join(context.stateDir, 'logs')}`, {
      why: 'the embedded stack has not been started in this project',
    });
  }
  const lines: LogLine[] = logs.flatMap(({ name, lines }) => lines.map((text) => ({ service: name, text })));
  const render = (line: LogLine) => `${renderLine(line, names.length > 1, context.terminal.style)}\n`;
  const result: CommandResult = { data: { lines }, text: () => lines.map(render).join('') };
  if (!input.options.follow) return result;
  const positions = new Map(logs.map(({ name, size }) => [name, size ?? 0]));
  const tell = (write: (text: string) => void) => (line: LogLine) => {
    write(render(line));
    context.event('log', { ...line });
  };
  return {
    ...result,
    // Ctrl-C is how following ends
    exitCode: 0,
    hold: (write) => followAll(names, fileOf, positions, tell(write), context.signal),
  };
}

function chosenNames(given: string | readonly string[] | undefined): readonly LogName[] {
  if (typeof given !== 'string') return logNames;
  const name = logNames.find((one) => one === given);
  if (name !== undefined) return [name];
  const near = nearest(given, logNames);
  throw new TrollfixError('TF-STK-005', `there is no service "${given}"`, {
    hint: near ? `did you mean \`trollfix logs ${near}\`?` : `name one of: ${logNames.join(', ')}`,
  });
}

/** The last lines of a file, and its size; a file that is not there has none. */
async function readTail(file: string, count: number): Promise<{ lines: string[]; size: number | undefined }> {
  const size = (await stat(file).catch(() => undefined))?.size;
  if (size === undefined || count === 0) return { lines: [], size };
  const text = await readFrom(file, Math.max(0, size - tailBytes), size);
  return {
    lines: text
      .split('\n')
      .filter((line) => line !== '')
      .slice(-count),
    size,
  };
}

async function readFrom(file: string, start: number, end: number): Promise<string> {
  if (start === 0) return (await readFile(file)).subarray(0, end).toString('utf8');
  await using handle = await open(file, 'r');
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  return buffer.subarray(0, bytesRead).toString('utf8');
}

async function followAll(
  names: readonly LogName[],
  fileOf: (name: LogName) => string,
  positions: Map<LogName, number>,
  tell: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const name of names) {
      for (const text of await readNew(fileOf(name), name, positions)) tell({ service: name, text });
    }
    // the abort is the end, not a failure
    await sleep(followEveryMs, signal).catch(() => {});
  }
}

async function readNew(file: string, name: LogName, positions: Map<LogName, number>): Promise<string[]> {
  const size = (await stat(file).catch(() => undefined))?.size ?? 0;
  const from = positions.get(name) ?? 0;
  // a log that is shorter than before was begun anew
  const start = size < from ? 0 : from;
  if (size === start) return [];
  const text = await readFrom(file, start, Math.min(size, start + tailBytes));
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  positions.set(name, start + Buffer.byteLength(whole));
  return whole.split('\n').filter((line) => line !== '');
}

function renderLine({ service, text }: LogLine, named: boolean, style: Style): string {
  return named ? `${style.cyan(service.padEnd(longestName))} ${text}` : text;
}

const longestName = Math.max(...logNames.map((name) => name.length));
