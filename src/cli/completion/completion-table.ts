import type { CommandSpec, OptionSpec } from '../command.ts';
import { type CommandNode, commandTree } from '../command-tree.ts';
import { globalOptions } from '../global-flags.ts';
import { readOptionFlags } from '../option-flags.ts';

export interface CompletionFlag {
  readonly long: string;
  readonly short: string | undefined;
  readonly takesValue: boolean;
  /** Values to offer; none where only the person can know. */
  readonly choices: readonly string[];
  /** The value is a path. */
  readonly isPath: boolean;
  readonly description: string;
}

/** What can follow the words of `path`. */
export interface CompletionEntry {
  /** Words after `trollfix`, joined by spaces; empty for none. */
  readonly path: string;
  readonly words: ReadonlyArray<{ readonly word: string; readonly description: string }>;
  readonly flags: readonly CompletionFlag[];
}

/** The catalogue as what each shell's script needs: an entry for every command and group. */
export function completionTable(catalogue: readonly CommandSpec[]): CompletionEntry[] {
  const entries: CompletionEntry[] = [];
  const visit = (node: CommandNode) => {
    entries.push(entryOf(node));
    for (const child of node.children.values()) visit(child);
  };
  visit(commandTree(catalogue));
  return entries;
}

/** Every flag after which a value stands, in both its forms: the word behind it is no command. */
export function flagsWithValue(table: readonly CompletionEntry[]): string[] {
  const flags = table.flatMap((entry) => entry.flags).filter(({ takesValue }) => takesValue);
  return [...new Set(flags.flatMap(({ long, short }) => (short === undefined ? [long] : [long, short])))];
}

function entryOf(node: CommandNode): CompletionEntry {
  const children = [...node.children].map(([word, child]) => ({
    word,
    description: child.spec?.summary ?? `${[...child.children.keys()].join(', ')}`,
  }));
  const choices = (node.spec?.arguments ?? []).flatMap((argument) =>
    (argument.choices ?? []).map((word) => ({ word, description: argument.name })),
  );
  return {
    path: node.path.join(' '),
    words: [...children, ...choices],
    flags: [...(node.spec?.options ?? []), ...globalOptions].map(flagOf),
  };
}

function flagOf(option: OptionSpec): CompletionFlag {
  const { long, short, value } = readOptionFlags(option.flags);
  return {
    long,
    short,
    takesValue: value !== undefined,
    choices: option.choices ?? [],
    isPath: value !== undefined && /^<(file|dir|path)/.test(value),
    description: option.description,
  };
}
