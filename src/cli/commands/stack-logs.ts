import path from 'node:path';
import { sleep } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import { nearest } from '../../kernel/nearest.ts';
import { serviceNames } from '../../local/service-names.ts';
import type { CommandContext, CommandInput, CommandResult, Style } from '../command.ts';
import { numberOption } from '../input-values.ts';
import { LogTail } from '../log-tail.ts';

const logNames = [...serviceNames, 'supervisor'] as const;

type LogName = (typeof logNames)[number];

interface LogLine {
  readonly service: LogName;
  readonly text: string;
}

interface NamedLog {
  readonly name: LogName;
  readonly tail: LogTail;
}

const linesByDefault = 20;

/** How often a followed log is looked at: soon enough for a person, and next to no work. */
const followEveryMs = 250;

export async function runLogs(context: CommandContext, input: CommandInput): Promise<CommandResult> {
  const names = chosenNames(input.arguments.service);
  const count = numberOption(input, 'lines') ?? linesByDefault;
  const folder = path.join(context.stateDir, 'logs');
  const logs = names.map((name) => ({ name, tail: new LogTail(path.join(folder, `${name}.log`)) }));
  const last = await Promise.all(
    logs.map(async ({ name, tail }) => ({ name, lines: await tail.last(count) })),
  );
  if (last.every((log) => log.lines === undefined) && !input.options.follow) {
    throw new TrollfixError('TF-STK-001', `there are no logs in ${folder}`, {
      why: 'the embedded stack has not been started in this project',
    });
  }
  const lines = last.flatMap((log) =>
    (log.lines ?? []).map((text): LogLine => ({ service: log.name, text })),
  );
  const render = (line: LogLine) => `${renderLine(line, names.length > 1, context.terminal.style)}\n`;
  const result: CommandResult = { data: { lines }, text: () => lines.map(render).join('') };
  if (!input.options.follow) return result;
  const tell = (write: (text: string) => void) => (line: LogLine) => {
    write(render(line));
    context.event('log', { ...line });
  };
  return {
    ...result,
    // Ctrl-C is how following ends
    exitCode: 0,
    hold: (write) => followAll(logs, tell(write), context.signal),
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

async function followAll(
  logs: readonly NamedLog[],
  tell: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const { name, tail } of logs) {
      for (const text of await tail.added()) tell({ service: name, text });
    }
    // the abort is the end, not a failure
    await sleep(followEveryMs, signal).catch(() => {});
  }
}

function renderLine({ service, text }: LogLine, named: boolean, style: Style): string {
  return named ? `${style.cyan(service.padEnd(longestName))} ${text}` : text;
}

const longestName = Math.max(...logNames.map((name) => name.length));
