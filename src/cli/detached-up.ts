import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { z } from 'zod';
import { type ErrorCode, errorCatalogue } from '../kernel/error-catalogue.ts';
import { messageOf, TrollfixError } from '../kernel/errors.ts';
import type { ProgressEvent } from '../kernel/log.ts';
import { packageRoot } from '../kernel/package-root.ts';
import type { CommandContext } from './command.ts';
import { LogTail } from './log-tail.ts';
import { dataSchema, type StatusData } from './outputs/status.ts';

const documentSchema = z.object({
  ok: z.boolean(),
  data: z.unknown(),
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      hint: z.string().optional(),
      why: z.string().optional(),
    })
    .optional(),
});

/** How often the supervisor's log is looked at for progress to pass on. */
const relayEveryMs = 150;

/**
 * Runs `trollfix up --json` in a session of its own, which neither the end of this shell nor its Ctrl-C reaches, and
 * waits for its one document: the status once it is up, or why it is not. Its progress is passed on meanwhile.
 * @throws what the start of the stack throws
 */
export async function detachUp(
  context: CommandContext,
  options: Readonly<Record<string, unknown>>,
): Promise<StatusData> {
  const logFile = path.join(context.stateDir, 'logs', 'supervisor.log');
  await mkdir(path.dirname(logFile), { recursive: true });
  await using log = await open(logFile, 'a', 0o600);
  const tail = new LogTail(logFile);
  await tail.last(0);
  const child = spawn(
    process.execPath,
    [path.join(packageRoot, 'bin', 'trollfix.js'), ...upArgs(context, options)],
    {
      cwd: context.cwd,
      detached: true,
      stdio: ['ignore', 'pipe', log.fd],
      env: { ...context.env },
    },
  );
  const stopRelay = relayLog(context, tail);
  // Ctrl-C while it starts: it is told, takes down what it has, and answers that it was interrupted
  const onAbort = () => child.kill('SIGTERM');
  context.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const document = await firstDocument(child, logFile);
    if (document.ok) return dataSchema.parse(document.data);
    throw startFailure(document.error, logFile);
  } finally {
    context.signal.removeEventListener('abort', onAbort);
    stopRelay();
    child.stdout?.destroy();
    child.unref();
  }
}

function upArgs(context: CommandContext, options: Readonly<Record<string, unknown>>): string[] {
  return [
    'up',
    '--json',
    '--no-color',
    ...(context.globals.verbose ? ['--verbose'] : []),
    ...(options.plan === undefined ? [] : ['--plan', String(options.plan)]),
    ...(options.livekit === false ? ['--no-livekit'] : []),
    ...(options.fresh === true ? ['--fresh'] : []),
  ];
}

/** Reads stdout until it holds a whole document; the supervisor writes nothing there afterwards. */
async function firstDocument(child: ChildProcess, logFile: string): Promise<z.infer<typeof documentSchema>> {
  let text = '';
  child.stdout?.setEncoding('utf8');
  const document = new Promise<z.infer<typeof documentSchema>>((resolve) => {
    child.stdout?.on('data', (chunk: string) => {
      text += chunk;
      const parsed = parseDocument(text);
      if (parsed !== undefined) resolve(parsed);
    });
  });
  const gone = once(child, 'close').then(([code, signal]) => {
    throw new TrollfixError(
      'TF-STK-002',
      `the supervisor ended before the stack was up (${signal ?? `exit code ${code}`})`,
      {
        hint: `read its log: ${logFile}`,
      },
    );
  });
  return Promise.race([document, gone]);
}

function parseDocument(text: string): z.infer<typeof documentSchema> | undefined {
  // the document ends with a newline; before that it is not worth trying
  if (!text.endsWith('\n')) return undefined;
  try {
    return documentSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function startFailure(error: z.infer<typeof documentSchema>['error'], logFile: string): TrollfixError {
  const code = error !== undefined && isErrorCode(error.code) ? error.code : 'TF-STK-002';
  return new TrollfixError(code, error?.message ?? 'the stack did not start', {
    ...(error?.why === undefined ? {} : { why: error.why }),
    hint: error?.hint ?? `read its log: ${logFile}`,
  });
}

function isErrorCode(code: string): code is ErrorCode {
  return code in errorCatalogue;
}

/** Passes the lines that the supervisor adds to its log on as progress, until stopped. */
function relayLog(context: CommandContext, tail: LogTail): () => void {
  let reading = false;
  const relay = async () => {
    if (reading) return;
    reading = true;
    try {
      for (const line of await tail.added()) {
        const event = progressOf(line);
        if (event !== undefined) context.progress(event);
      }
    } catch (error) {
      context.log.debug(`the supervisor's log cannot be read: ${messageOf(error)}`);
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(relay, relayEveryMs);
  return () => clearInterval(timer);
}

/** A line of the supervisor's progress as what it was: its mark stands first. */
function progressOf(line: string): ProgressEvent | undefined {
  const [, mark = '', text = ''] = /^(✓|…|·)?\s*(.*?)\s*$/u.exec(line) ?? [];
  if (text === '') return undefined;
  const kind = mark === '✓' ? 'done' : mark === '…' ? 'step' : 'note';
  return { kind, text };
}
