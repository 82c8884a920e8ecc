import { type ErrorCode, errorCatalogue } from '../../kernel/error-catalogue.ts';
import { messageOf, TrollfixError } from '../../kernel/errors.ts';
import { ExitCode } from '../../kernel/exit-codes.ts';
import type { Style } from '../command.ts';

/** A failure as it is told: `error` of the JSON document, or the lines on stderr. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly why: string | undefined;
  readonly hint: string;
  readonly exitCode: ExitCode;
  readonly details: Record<string, unknown> | undefined;
  readonly log: string | undefined;
  readonly stack: string | undefined;
}

/** @param logPath where the whole story of a bug was written */
export function failureOf(error: unknown, logPath?: string): Failure {
  if (error instanceof TrollfixError) {
    const { code, message, why, hint, exitCode, details } = error;
    return { code, message, why, hint, exitCode, details, log: logPath, stack: error.stack };
  }
  return {
    code: 'TF-CLI-009',
    message: messageOf(error) || 'something was thrown that says nothing',
    why: 'this is a bug in trollfix, not in what you did',
    hint: errorCatalogue['TF-CLI-009'].help,
    exitCode: ExitCode.bug,
    details: undefined,
    log: logPath,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

/** `error TF-GIFT-003: what happened` / why / `hint:` / `log:`; the stack only with `--verbose`. */
export function failureText(failure: Failure, style: Style, verbose: boolean): string {
  const lines = [`${style.red(style.bold('error'))} ${style.bold(failure.code)}: ${failure.message}`];
  if (failure.why) lines.push(...failure.why.split('\n').map((line) => `  ${line}`));
  lines.push(`  ${style.cyan('hint:')} ${failure.hint}`);
  if (failure.log) lines.push(`  ${style.dim('log:')} ${failure.log}`);
  if (verbose && failure.stack)
    lines.push(...failure.stack.split('\n').map((line) => `  ${style.dim(line.trim())}`));
  return `${lines.join('\n')}\n`;
}

export interface FailureJson {
  readonly code: ErrorCode;
  readonly message: string;
  readonly why?: string;
  readonly hint: string;
  readonly docs: string;
  readonly log?: string;
  readonly details?: Record<string, unknown>;
  readonly stack?: string;
}

export function failureJson(failure: Failure, verbose: boolean): FailureJson {
  const { code, message, why, hint, log, details, stack } = failure;
  return {
    code,
    message,
    ...(why === undefined ? {} : { why }),
    hint,
    docs: `docs/errors.md#${code.toLowerCase()}`,
    ...(log === undefined ? {} : { log }),
    ...(details === undefined ? {} : { details }),
    ...(verbose && stack !== undefined ? { stack } : {}),
  };
}
