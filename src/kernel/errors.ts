import { type CatalogueEntry, type ErrorCode, errorCatalogue } from './error-catalogue.ts';
import type { ExitCode } from './exit-codes.ts';

export interface TrollfixErrorOptions {
  /** Why it happened, with the values that show it. */
  readonly why?: string;
  /** The exact command that helps; defaults to the catalogue's general help. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Structured facts for `--json`. */
  readonly details?: Record<string, unknown>;
}

/** An expected failure: it has a stable code, a hint and an exit code. Anything else that is thrown is a bug. */
export class TrollfixError extends Error {
  override readonly name = 'TrollfixError';
  readonly code: ErrorCode;
  readonly why: string | undefined;
  readonly hint: string;
  readonly details: Record<string, unknown> | undefined;

  constructor(code: ErrorCode, message: string, options: TrollfixErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.why = options.why;
    this.hint = options.hint ?? entryOf(code).help;
    this.details = options.details;
  }

  get exitCode(): ExitCode {
    return entryOf(this.code).exit;
  }
}

function entryOf(code: ErrorCode): CatalogueEntry {
  return errorCatalogue[code];
}

/** The message of anything that can be thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
