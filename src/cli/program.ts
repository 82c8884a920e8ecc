import { Argument, Command, CommanderError, Option } from 'commander';
import { TrollfixError } from '../kernel/errors.ts';
import { nearest } from '../kernel/nearest.ts';
import type { CommandInput, CommandSpec, GlobalFlags, OptionSpec } from './command.ts';
import { type CommandNode, unknownCommand, walkWords } from './command-tree.ts';
import { globalFlagsFrom, globalOptions } from './global-flags.ts';
import { usageLine } from './help-text.ts';
import { readOptionFlags } from './option-flags.ts';

/** What argv asks for, parsed and checked: a command, or the help of a group that was named without a verb. */
export type Invocation =
  | {
      readonly kind: 'run';
      readonly spec: CommandSpec;
      readonly globals: GlobalFlags;
      readonly input: CommandInput;
    }
  | { readonly kind: 'help'; readonly node: CommandNode };

/**
 * Parses argv against the tree of commands with commander.
 * @throws TF-CLI-001…004, each with what was meant where that can be told
 */
export async function parseInvocation(root: CommandNode, argv: readonly string[]): Promise<Invocation> {
  let chosen: { spec: CommandSpec; leaf: Command } | undefined;
  const program = buildCommander(root, (spec, leaf) => {
    chosen = { spec, leaf };
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.help') return { kind: 'help', node: walkWords(root, argv).node };
    throw usageError(error, root, argv);
  }
  if (!chosen) return { kind: 'help', node: walkWords(root, argv).node };
  const { spec, leaf } = chosen;
  return {
    kind: 'run',
    spec,
    globals: globalFlagsFrom(readOptions(globalOptions, program)),
    input: { arguments: readArguments(spec, leaf), options: readCommandOptions(spec, leaf) },
  };
}

function buildCommander(root: CommandNode, choose: (spec: CommandSpec, leaf: Command) => void): Command {
  const program = new Command('trollfix');
  // commander's own help and error texts are not used: help is rendered from the specs, errors are ours
  program
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .showSuggestionAfterError(false)
    .allowExcessArguments(false)
    .helpOption(false)
    .helpCommand(false);
  for (const option of globalOptions) program.addOption(commanderOption(option));
  addChildren(program, root, choose);
  return program;
}

function addChildren(
  parent: Command,
  node: CommandNode,
  choose: (spec: CommandSpec, leaf: Command) => void,
): void {
  for (const [word, child] of node.children) {
    const command = parent.command(word).helpOption(false).helpCommand(false);
    const { spec } = child;
    if (spec) {
      for (const { name, required, variadic } of spec.arguments ?? []) {
        const text = variadic ? `${name}...` : name;
        command.addArgument(new Argument(required ? `<${text}>` : `[${text}]`));
      }
      for (const option of spec.options ?? []) command.addOption(commanderOption(option));
      command.action(() => choose(spec, command));
    }
    addChildren(command, child, choose);
  }
}

function commanderOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.repeatable) {
    option.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
  }
  return option;
}

function readOptions(specs: readonly OptionSpec[], command: Command): Record<string, unknown> {
  const raw = command.opts<Record<string, unknown>>();
  return Object.fromEntries(
    specs.map((spec) => {
      const flags = readOptionFlags(spec.flags);
      const value = raw[flags.key] ?? spec.default ?? (spec.repeatable ? [] : undefined);
      return [flags.key, readOption(spec, flags.long, value)];
    }),
  );
}

function readCommandOptions(spec: CommandSpec, leaf: Command): CommandInput['options'] {
  const specs = spec.options ?? [];
  const values = readOptions(specs, leaf);
  for (const { flags, required } of specs) {
    if (!required) continue;
    const { key, long } = readOptionFlags(flags);
    if (isBlank(values[key])) throw missing(spec, flags, { option: long });
  }
  return values;
}

/** What a shell makes of a variable that is not set counts as not given. */
function isBlank(value: unknown): boolean {
  return value === undefined || (typeof value === 'string' && value.trim() === '');
}

function missing(spec: CommandSpec, what: string, details: Record<string, unknown>): TrollfixError {
  const command = ['trollfix', ...spec.path].join(' ');
  return new TrollfixError('TF-CLI-003', `${command} needs ${what}`, {
    why: `usage: ${usageLine(spec)}`,
    hint: exampleHint(spec, command),
    details,
  });
}

function readOption(spec: OptionSpec, flag: string, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((one) => readOption(spec, flag, one));
  if (typeof value !== 'string') return value;
  if (spec.choices) assertChoice(flag, value, spec.choices);
  if (!spec.parse) return value;
  try {
    return spec.parse(value);
  } catch (error) {
    if (!(error instanceof TrollfixError)) throw error;
    throw new TrollfixError(error.code, `${flag}: ${error.message}`, {
      ...(error.why === undefined ? {} : { why: error.why }),
      hint: error.hint,
      details: { ...error.details, option: flag, value },
    });
  }
}

function readArguments(spec: CommandSpec, leaf: Command): CommandInput['arguments'] {
  const values: Record<string, string | readonly string[] | undefined> = {};
  for (const [i, argument] of (spec.arguments ?? []).entries()) {
    // commander gives a string, a list for a variadic one, undefined for an optional one that was left out
    const value = leaf.processedArgs[i] as string | string[] | undefined;
    if (argument.choices) {
      for (const one of [value ?? []].flat()) assertChoice(argument.name, one, argument.choices);
    }
    if (argument.required && isBlank(value)) {
      throw missing(spec, `<${argument.name}>`, { argument: argument.name });
    }
    values[argument.name] = value;
  }
  return values;
}

function assertChoice(what: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  const near = nearest(value, choices);
  throw new TrollfixError('TF-CLI-004', `${what}: "${value}" is not one of ${choices.join(', ')}`, {
    hint: near ? `did you mean \`${near}\`?` : `give one of: ${choices.join(', ')}`,
    details: { value, choices, didYouMean: near ?? null },
  });
}

function usageError(error: CommanderError, root: CommandNode, argv: readonly string[]): TrollfixError {
  const { node, unknownWord } = walkWords(root, argv);
  const quoted = /'([^']*)'/.exec(error.message)?.[1] ?? '';
  const command = ['trollfix', ...node.path].join(' ');
  switch (error.code) {
    case 'commander.unknownCommand':
      return unknownCommand(root, node, unknownWord ?? quoted);
    case 'commander.unknownOption':
      // a mistyped command with flags of its own: the command is what has to be told
      return unknownWord ? unknownCommand(root, node, unknownWord) : unknownOption(node, quoted, command);
    case 'commander.missingArgument':
      return new TrollfixError('TF-CLI-003', `${command} needs <${quoted}>`, {
        why: node.spec ? `usage: ${usageLine(node.spec)}` : 'an argument is missing',
        hint: exampleHint(node.spec, command),
        details: { argument: quoted },
      });
    case 'commander.optionMissingArgument':
      return new TrollfixError(
        'TF-CLI-003',
        `${quoted.split(/[ ,]+/).find((w) => w.startsWith('--'))} needs a value`,
        {
          hint: exampleHint(node.spec, command),
          details: { option: quoted },
        },
      );
    case 'commander.excessArguments':
      return new TrollfixError('TF-CLI-003', `too many arguments for \`${command}\``, {
        why: node.spec ? `usage: ${usageLine(node.spec)}` : `\`${command}\` takes none`,
        hint: exampleHint(node.spec, command),
      });
    default:
      return new TrollfixError('TF-CLI-003', error.message.replace(/^error: /, ''), { cause: error });
  }
}

function exampleHint(spec: CommandSpec | undefined, command: string): string {
  const example = spec?.examples[0];
  return example ? `for example: \`${example.line}\`` : `see \`${command} --help\``;
}

function unknownOption(node: CommandNode, given: string, command: string): TrollfixError {
  const [flag = given] = given.split('=');
  const known = [...(node.spec?.options ?? []), ...globalOptions].map(
    (option) => readOptionFlags(option.flags).long,
  );
  const near = flag.startsWith('--')
    ? nearest(
        flag.slice(2),
        known.map((name) => name.slice(2)),
      )
    : undefined;
  return new TrollfixError('TF-CLI-002', `\`${command}\` has no option ${flag}`, {
    hint: near
      ? `did you mean \`--${near}\`? All of them: \`${command} --help\``
      : `see \`${command} --help\``,
    details: { option: flag, didYouMean: near ? `--${near}` : null },
  });
}
