import { TrollfixError } from '../kernel/errors.ts';
import { nearest } from '../kernel/nearest.ts';
import type { CommandSpec } from './command.ts';
import { globalOptions } from './global-flags.ts';
import { readOptionFlags } from './option-flags.ts';

/** A word of the command line: a command, a group of them, or (at the root) all of them. */
export interface CommandNode {
  readonly path: readonly string[];
  readonly spec: CommandSpec | undefined;
  readonly children: ReadonlyMap<string, CommandNode>;
}

interface GrowingNode extends CommandNode {
  spec: CommandSpec | undefined;
  readonly children: Map<string, GrowingNode>;
}

export function commandTree(catalogue: readonly CommandSpec[]): CommandNode {
  const root: GrowingNode = { path: [], spec: undefined, children: new Map() };
  for (const spec of catalogue) {
    let node = root;
    for (const [depth, word] of spec.path.entries()) {
      const child: GrowingNode = node.children.get(word) ?? {
        path: spec.path.slice(0, depth + 1),
        spec: undefined,
        children: new Map(),
      };
      node.children.set(word, child);
      node = child;
    }
    node.spec = spec;
  }
  return root;
}

/** The node that the words of argv lead to, and whether a word was left that names no child of a group. */
export interface Walk {
  readonly node: CommandNode;
  readonly unknownWord: string | undefined;
}

const globalsWithValue = new Set(
  globalOptions
    .map((option) => readOptionFlags(option.flags))
    .filter((flags) => flags.value !== undefined)
    .map((flags) => flags.long),
);

/** Follows the words of argv down the tree, over global flags and their values. */
export function walkWords(root: CommandNode, argv: readonly string[]): Walk {
  let node = root;
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? '';
    if (token === '--') break;
    if (token.startsWith('-')) {
      if (globalsWithValue.has(token)) i += 1;
      continue;
    }
    const child = node.children.get(token);
    if (child) node = child;
    else return { node, unknownWord: node.children.size > 0 && !node.spec ? token : undefined };
  }
  return { node, unknownWord: undefined };
}

/** TF-CLI-001 for a word that is no command, with the nearest one there is. */
export function unknownCommand(root: CommandNode, node: CommandNode, word: string): TrollfixError {
  const near = nearest(word, node.children.keys());
  const elsewhere = near ? undefined : pathsEndingWith(root, word)[0];
  const path = near ? [...node.path, near] : elsewhere;
  const group = node.path.length > 0 ? ` of \`trollfix ${node.path.join(' ')}\`` : '';
  const all = ['trollfix', ...node.path, '--help'].join(' ');
  return new TrollfixError('TF-CLI-001', `"${word}" is not a command${group}`, {
    hint: path ? `did you mean \`trollfix ${path.join(' ')}\`? All of them: \`${all}\`` : `see \`${all}\``,
    details: { word, didYouMean: path ? path.join(' ') : null },
  });
}

/** `revoke` was typed where `seat revoke` was meant. */
function pathsEndingWith(node: CommandNode, word: string): Array<readonly string[]> {
  return [...node.children.values()].flatMap((child) => [
    ...(child.path.at(-1) === word ? [child.path] : []),
    ...pathsEndingWith(child, word),
  ]);
}
