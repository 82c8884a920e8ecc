import { catalogue, groupSummaries } from './catalogue.ts';
import type { CommandSpec } from './command.ts';
import { type CommandNode, commandTree, unknownCommand, walkWords } from './command-tree.ts';
import { beforeDashes, scanOutputMode } from './global-flags.ts';
import { helpText } from './help-text.ts';
import type { Host } from './host.ts';
import { writePlain } from './output/plain.ts';
import { styleOf, wantsColor } from './output/style.ts';

/**
 * Runs one command line from argv to the exit code. Never throws: a failure becomes output and a code.
 *
 * Help in plain text is answered here, from the specs alone: it is asked for most and has to be there at once, and
 * what everything else needs (commander, files, the writer of documents) would take as long as an empty Node does.
 * @param commands the catalogue; tests bring their own
 */
export async function runCli(host: Host, commands: readonly CommandSpec[] = catalogue): Promise<number> {
  const root = commandTree(commands);
  const { json, ndjson, color } = scanOutputMode(host.argv);
  const asked = json || ndjson ? undefined : knownHelpNode(root, host.argv);
  if (!asked) {
    const { runFrame } = await import('./frame.ts');
    return runFrame(host, root, commands, (argv) => helpNode(root, argv), groupSummaries);
  }
  const { stdout } = host;
  const style = styleOf(wantsColor(host.env, { flag: color, isTty: stdout.isTTY === true }));
  await writePlain(stdout, (columns) =>
    helpText(asked, groupSummaries, { style, columns, short: host.argv.length === 0 }),
  );
  return 0;
}

function knownHelpNode(root: CommandNode, argv: readonly string[]): CommandNode | undefined {
  try {
    return helpNode(root, argv);
  } catch {
    // a word on the way is no command: the frame asks again and tells the error in its form
    return undefined;
  }
}

/**
 * The node whose help is meant: `--help` anywhere, `help <words>`, or nothing at all.
 * @throws TF-CLI-001 when a word on the way is no command
 */
function helpNode(root: CommandNode, argv: readonly string[]): CommandNode | undefined {
  const tokens = beforeDashes(argv);
  const words = tokens.filter((token) => !token.startsWith('-'));
  if (words[0] === 'help' && words[1] !== 'exit-codes') return namedNode(root, words.slice(1));
  if (tokens.includes('--help') || tokens.includes('-h')) return namedNode(root, tokens);
  return argv.length === 0 ? root : undefined;
}

function namedNode(root: CommandNode, tokens: readonly string[]): CommandNode {
  const { node, unknownWord } = walkWords(root, tokens);
  if (unknownWord !== undefined) throw unknownCommand(root, node, unknownWord);
  return node;
}
