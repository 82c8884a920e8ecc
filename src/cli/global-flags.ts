import { parseDurationMs } from '../kernel/duration.ts';
import { TrollfixError } from '../kernel/errors.ts';
import type { GlobalFlags, OptionSpec } from './command.ts';

/** Flags that every command takes, before or after its name. */
export const globalOptions: readonly OptionSpec[] = [
  { flags: '--target <name>', description: 'which target of trollfix.yaml (default: embedded)' },
  { flags: '--config <file>', description: 'the configuration file (default: trollfix.yaml in the project)' },
  { flags: '--env-file <file>', description: 'read settings from a file of NAME=value lines; - is stdin' },
  { flags: '--json', description: 'print one JSON document on stdout, also on failure' },
  { flags: '--ndjson', description: 'print one JSON event a line; the last is the result' },
  { flags: '-q, --quiet', description: 'no progress, only the result and errors' },
  { flags: '-v, --verbose', description: 'more remarks, and the stack trace of a bug' },
  { flags: '--no-color', description: 'plain text (NO_COLOR and TERM=dumb do the same)' },
  { flags: '-y, --yes', description: 'answer yes to every question' },
  { flags: '--no-input', description: 'never ask; what would have been asked is an error' },
  {
    flags: '--confirm <target>',
    description: 'name the target that is not this machine, to allow load on it',
  },
  { flags: '--timeout <dur>', description: 'give up after this time: 90s, 5m', parse: parseDurationMs },
  { flags: '-h, --help', description: 'help on a command' },
  { flags: '-V, --version', description: 'the version' },
];

/** How results are to be printed; known before anything else is, so that a usage error has its form too. */
export interface OutputMode {
  readonly json: boolean;
  readonly ndjson: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: boolean;
}

/** What of argv can be a flag: all up to `--`. */
export function beforeDashes(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return end === -1 ? argv : argv.slice(0, end);
}

/** Reads the output flags straight from argv, without judging the rest. */
export function scanOutputMode(argv: readonly string[]): OutputMode {
  const flags = new Set(beforeDashes(argv));
  return {
    json: flags.has('--json'),
    ndjson: flags.has('--ndjson'),
    quiet: flags.has('--quiet') || flags.has('-q'),
    verbose: flags.has('--verbose') || flags.has('-v'),
    color: !flags.has('--no-color'),
  };
}

/**
 * @param values by camel-cased long name, parsed
 * @throws TF-CLI-003 when two of them exclude each other
 */
export function globalFlagsFrom(values: Readonly<Record<string, unknown>>): GlobalFlags {
  const text = (name: string) => (typeof values[name] === 'string' ? values[name] : undefined);
  if (values.json === true && values.ndjson === true) {
    throw new TrollfixError('TF-CLI-003', '--json and --ndjson cannot be used together', {
      hint: '--json for one document, --ndjson for a stream of events',
    });
  }
  return {
    target: text('target'),
    config: text('config'),
    envFile: text('envFile'),
    json: values.json === true,
    ndjson: values.ndjson === true,
    quiet: values.quiet === true,
    verbose: values.verbose === true,
    yes: values.yes === true,
    input: values.input !== false,
    confirm: text('confirm'),
    timeoutMs: typeof values.timeout === 'number' ? values.timeout : undefined,
  };
}
