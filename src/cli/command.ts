import type { z } from 'zod';
import type { Target } from '../config/target.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ExitCode } from '../kernel/exit-codes.ts';
import type { Logger, Progress } from '../kernel/log.ts';

/** An option as data: parser, help, completion and docs all come from it. */
export interface OptionSpec {
  /** commander's form: `--rate <n/s>`, `-y, --yes`, `--no-color`. */
  readonly flags: string;
  readonly description: string;
  readonly default?: string | boolean | number;
  /** Reads the text; throws a TrollfixError that names the fix. */
  readonly parse?: (text: string) => unknown;
  /** May be given several times; the values arrive as a list. */
  readonly repeatable?: boolean;
  /** Without it, or with nothing but spaces, the command line is refused before anything is started. */
  readonly required?: boolean;
  readonly choices?: readonly string[];
}

export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly variadic?: boolean;
  readonly choices?: readonly string[];
}

/**
 * A command as data. The list of these is all that is loaded for `--help`, completion and docs; what a command
 * does is behind `load`, so that nothing heavy is read before it is needed.
 */
export interface CommandSpec {
  /** `['seat', 'revoke']` */
  readonly path: readonly [string, ...string[]];
  readonly summary: string;
  /** More than the summary, where there is more to say. */
  readonly description?: string;
  readonly examples: ReadonlyArray<{ readonly line: string; readonly does: string }>;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** The `<kind>` of `trollfix.<kind>/v1` that `--json` gives. */
  readonly kind: string;
  /** The zod schema of `data` in that document. */
  readonly dataSchema: () => Promise<z.ZodType>;
  readonly load: () => Promise<CommandRun>;
}

export type CommandRun = (context: CommandContext, input: CommandInput) => Promise<CommandResult>;

export interface CommandInput {
  readonly arguments: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** By camel-cased long name, parsed. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface CommandResult {
  /** What stands under `data` in the JSON document. */
  readonly data: unknown;
  /** What a person reads on stdout; not called with `--json` or `--ndjson`. */
  readonly text: () => string;
  /**
   * Defaults to that of `failure`; without one to 0, or to the signal's code when the run was interrupted. A code
   * other than 0 makes `ok` false.
   */
  readonly exitCode?: ExitCode;
  /** Why the exit code is not 0, and which it is: `error` of the document and the last line on stderr. */
  readonly failure?: Error;
  /**
   * For commands that stay (`up`, `logs --follow`): called once `data` or `text()` has been printed, and the process
   * ends when it resolves. `write` appends text to stdout and does nothing with `--json`, whose one document is out;
   * with `--ndjson` its events go on after the result.
   */
  readonly hold?: (write: (text: string) => void) => Promise<void>;
  /**
   * True where printing a key is what the command is for (`status`, `up`, `token mint`): its `data` and `text` go out
   * as they are. Everything else that is written goes through the redactor.
   */
  readonly printsSecrets?: boolean;
  /** Markdown for the job summary of GitHub Actions, for commands with a report. */
  readonly jobSummary?: () => string;
  /** What GitHub Actions shows as `::error` annotations beside the failure itself; at most 10 are written. */
  readonly annotations?: readonly string[];
}

/** What the frame hands to every command. */
export interface CommandContext {
  /** Every command there is: help, completion and `schema` read it. */
  readonly catalogue: readonly CommandSpec[];
  readonly globals: GlobalFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** The folder of the nearest `trollfix.yaml` (from `cwd` upwards, within the repository), else `cwd`. */
  readonly projectDir: string;
  /** `.trollfix` in the project's folder. */
  readonly stateDir: string;
  readonly clock: Clock;
  /** Aborts at the first Ctrl-C, SIGTERM or `--timeout`. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly progress: Progress;
  readonly terminal: Terminal;
  readonly prompts: Prompts;
  /** One line of `--ndjson`; does nothing without it. */
  readonly event: (type: string, data: Record<string, unknown>) => void;
  /**
   * The target named by `--target`, merged from all layers of configuration.
   * @throws TF-CFG-*; TF-STK-001 when it is the embedded one and the stack is not up
   */
  readonly target: () => Promise<Target>;
  /** Which target is meant and where each setting came from; needs no stack to be up. @throws TF-CFG-* */
  readonly configuration: () => Promise<Configuration>;
  /** Takes every known secret out of a text; for what a command writes into files. */
  readonly redact: (text: string) => string;
  /** All of standard input, at most 1 MiB. @throws TF-CLI-003 when it is a terminal */
  readonly readStdin: () => Promise<string>;
}

/** What `trollfix doctor --verbose` tells of the configuration. */
export interface Configuration {
  readonly target: { readonly name: string; readonly kind: Target['kind'] };
  /** The trollfix.yaml that was read. */
  readonly file: string | undefined;
  readonly settings: readonly SettingOrigin[];
}

export interface SettingOrigin {
  /** `livekit.url` */
  readonly setting: string;
  /** As it may be shown: secrets are redacted. */
  readonly shown: string;
  /** `--target`, `TROLLFIX_SUPABASE_URL`, `trollfix.yaml:7`, `.env: SUPABASE_URL`, `embedded default` */
  readonly origin: string;
}

export interface GlobalFlags {
  readonly target: string | undefined;
  readonly config: string | undefined;
  readonly envFile: string | undefined;
  readonly json: boolean;
  readonly ndjson: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly yes: boolean;
  readonly input: boolean;
  readonly confirm: string | undefined;
  readonly timeoutMs: number | undefined;
}

/** What text on stdout may look like. */
export interface Terminal {
  readonly isTty: boolean;
  readonly columns: number;
  readonly style: Style;
}

/** Colours where they are wanted, plain text where not. Nothing is told by colour alone. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** Questions to the person at the terminal. Without one, or with `--no-input`, each throws TF-CLI-005. */
export interface Prompts {
  /** True at once with `--yes`. @throws TF-CLI-005 when declined */
  confirm(question: string): Promise<void>;
  /** @param options.flag what would answer it without a terminal, for the error: `--url <url>` */
  text(question: string, options?: TextQuestion): Promise<string>;
  select<T extends string>(
    question: string,
    choices: ReadonlyArray<{ value: T; label: string }>,
    options?: { flag?: string },
  ): Promise<T>;
}

export interface TextQuestion {
  readonly initial?: string;
  readonly secret?: boolean;
  readonly flag?: string;
  /** What is wrong with the answer, or undefined. */
  readonly validate?: (answer: string) => string | undefined;
}
