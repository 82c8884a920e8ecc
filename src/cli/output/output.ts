import { appendFileSync } from 'node:fs';
import { ExitCode } from '../../kernel/exit-codes.ts';
import type { Logger, ProgressEvent } from '../../kernel/log.ts';
import type { CommandResult, Style, Terminal } from '../command.ts';
import type { OutputMode } from '../global-flags.ts';
import { type Failure, failureJson, failureText } from './failure.ts';
import { annotationLines } from './github.ts';
import { ProgressView } from './progress-view.ts';
import type { Redactor } from './redactor.ts';
import type { Sink } from './sink.ts';
import { styleOf, wantsColor } from './style.ts';

export interface OutputOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly mode: OutputMode;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly redactor: Redactor;
  /** Monotonic, for the times in progress lines. */
  readonly nowMs: () => number;
  /** Wall clock, for the time of events. */
  readonly nowIso: () => string;
}

/**
 * The only writer to stdout and stderr. stdout carries the result and nothing else: text, exactly one JSON document
 * with `--json`, or events with `--ndjson`. Everything else goes to stderr. All of it is redacted.
 */
export class Output {
  readonly terminal: Terminal;
  readonly log: Logger;
  readonly #options: OutputOptions;
  readonly #view: ProgressView;
  readonly #errorStyle: Style;
  #resultWritten = false;
  /** Events are taken until the command has come to its end: until its result is out, or longer where it stays. */
  #takesEvents = true;

  constructor(options: OutputOptions) {
    const { stdout, stderr, mode, env } = options;
    this.#options = options;
    this.terminal = {
      isTty: stdout.isTty,
      columns: stdout.columns,
      style: styleOf(
        !mode.json && !mode.ndjson && wantsColor(env, { flag: mode.color, isTty: stdout.isTty }),
      ),
    };
    this.#errorStyle = styleOf(wantsColor(env, { flag: mode.color, isTty: stderr.isTty }));
    const live = stderr.isTty && env.TERM !== 'dumb' && (env.CI ?? '') === '';
    this.#view = new ProgressView(stderr, this.#errorStyle, options.nowMs, live);
    this.log = this.#logger();
  }

  progress = (event: ProgressEvent): void => {
    const { mode, redactor } = this.#options;
    if (mode.ndjson) {
      const { kind, ...data } = event;
      this.event(`progress.${kind}`, data);
      return;
    }
    if (mode.quiet) return;
    this.#view.show(event.kind === 'load' ? event : { ...event, text: redactor.text(event.text) });
  };

  event = (type: string, data: Record<string, unknown>): void => {
    const { mode, stdout, redactor, nowIso } = this.#options;
    if (!mode.ndjson || !this.#takesEvents) return;
    stdout.write(`${redactor.json({ schema: 'trollfix.event/v1', type, at: nowIso(), data })}\n`);
  };

  /** Result text of a frame command (help, version). */
  text(kind: string, data: unknown, text: string): void {
    this.result(kind, { data, text: () => text, printsSecrets: true }, undefined);
  }

  /**
   * The result of a command that came to an end, with the failure that its exit code stands for. A second one finds
   * its place on stdout taken (a command that stays failed later): its failure is told on stderr alone.
   */
  result(kind: string, result: CommandResult, failure: Failure | undefined): void {
    this.#view.clear();
    if (!this.#resultWritten) {
      // rendered first: what cannot be leaves the place for the failure that it is
      const rendered = this.#rendered(kind, result, failure);
      this.#resultWritten = true;
      this.#options.stdout.write(rendered);
    }
    this.#takesEvents = result.hold !== undefined;
    if (failure) this.#tellFailure(failure);
    this.#tellGitHub(result, failure);
  }

  /** A failure with no result beside it, or after it. */
  failure(kind: string, failure: Failure): void {
    this.result(kind, { data: null, text: () => '' }, failure);
  }

  /** Text after the result, for commands that stay. Nothing with `--json`, whose one document is out. */
  append = (text: string): void => {
    const { mode, stdout, redactor } = this.#options;
    if (!mode.json && !mode.ndjson) stdout.write(redactor.text(text));
  };

  /** A remark for the person at the terminal. */
  note(text: string): void {
    if (!this.#options.mode.quiet) this.#view.line(this.#options.redactor.text(text));
  }

  /** Takes the live block away, so that a question can be asked. */
  pauseProgress(): void {
    this.#view.clear();
  }

  async flushed(): Promise<void> {
    this.#view.clear();
    await Promise.all([this.#options.stdout.flushed(), this.#options.stderr.flushed()]);
  }

  #rendered(kind: string, result: CommandResult, failure: Failure | undefined): string {
    const { mode, redactor, nowIso } = this.#options;
    const printsSecrets = result.printsSecrets === true;
    if (!mode.json && !mode.ndjson) {
      const text = result.text();
      return printsSecrets ? text : redactor.text(text);
    }
    const exitCode = failure?.exitCode ?? result.exitCode ?? ExitCode.ok;
    const document = {
      schema: `trollfix.${kind}/v1`,
      ok: exitCode === ExitCode.ok,
      data: result.data ?? null,
      ...(failure ? { error: failureJson(failure, mode.verbose) } : {}),
    };
    const whole = mode.ndjson
      ? { schema: 'trollfix.event/v1', type: 'result', at: nowIso(), data: document }
      : document;
    const space = mode.ndjson ? undefined : 2;
    return `${printsSecrets ? JSON.stringify(whole, null, space) : redactor.json(whole, space)}\n`;
  }

  #tellFailure(failure: Failure): void {
    const { mode, stderr, redactor } = this.#options;
    // with --json the document says it; a person who watches stderr is told all the same
    stderr.write(redactor.text(failureText(failure, this.#errorStyle, mode.verbose)));
  }

  #tellGitHub(result: CommandResult, failure: Failure | undefined): void {
    const { env, stderr, redactor } = this.#options;
    if (env.GITHUB_ACTIONS !== 'true') return;
    const messages = [...(result.annotations ?? []), ...(failure ? [failure.message] : [])];
    for (const line of annotationLines(failure?.code ?? 'trollfix', messages)) {
      stderr.write(`${redactor.text(line)}\n`);
    }
    const summaryFile = env.GITHUB_STEP_SUMMARY;
    if (!summaryFile || !result.jobSummary) return;
    try {
      appendFileSync(summaryFile, `${redactor.text(result.jobSummary())}\n`);
    } catch (error) {
      this.log.warn(`the job summary could not be written: ${String(error)}`);
    }
  }

  #logger(): Logger {
    const { mode } = this.#options;
    const write = (
      level: 'debug' | 'info' | 'warn' | 'error',
      message: string,
      fields?: Record<string, unknown>,
    ) => {
      if (level === 'debug' && !mode.verbose) return;
      if (level === 'info' && mode.quiet) return;
      this.#view.line(this.#options.redactor.text(logLine(this.#errorStyle, level, message, fields)));
    };
    return {
      debug: (message, fields) => write('debug', message, fields),
      info: (message, fields) => write('info', message, fields),
      warn: (message, fields) => write('warn', message, fields),
      error: (message, fields) => write('error', message, fields),
    };
  }
}

function logLine(
  style: Style,
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Record<string, unknown> | undefined,
): string {
  const label = {
    debug: style.dim('debug'),
    info: 'info ',
    warn: style.yellow('warn '),
    error: style.red('error'),
  };
  const extra = fields
    ? ` ${style.dim(
        Object.entries(fields)
          .map(([key, value]) => `${key}=${fieldText(value)}`)
          .join(' '),
      )}`
    : '';
  return `${label[level]} ${message}${extra}`;
}

function fieldText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}
