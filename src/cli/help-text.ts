import { displayWidth, wrapWords } from '../kernel/text-width.ts';
import type { CommandSpec, OptionSpec, Style } from './command.ts';
import type { CommandNode } from './command-tree.ts';
import { globalOptions } from './global-flags.ts';
import { alignColumns, padToWidth } from './output/columns.ts';

export interface HelpLook {
  /** What stands there without any argument: examples and commands, no flags. */
  readonly short?: boolean;
  readonly style: Style;
  /** Lines are broken here. */
  readonly columns: number;
}

/** The three lines a newcomer should see first. */
export const firstExamples: ReadonlyArray<readonly [string, string]> = [
  ['trollfix drill --quick', 'the whole diagnosis in under 3 minutes'],
  ['trollfix load chat --rate 50/s --duration 30s', 'one probe under load'],
  ['trollfix seat revoke ada --stream S --reason x', 'take a seat away, and out of the room at once'],
];

/** Help for a node of the tree; `groupSummaries` says what a group is for. */
export function helpText(
  node: CommandNode,
  groupSummaries: Readonly<Record<string, string>>,
  look: HelpLook,
): string {
  const sections = node.spec
    ? commandSections(node.spec, look)
    : node.path.length === 0
      ? rootSections(node, groupSummaries, look)
      : groupSections(node, groupSummaries, look);
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function rootSections(
  node: CommandNode,
  summaries: Readonly<Record<string, string>>,
  look: HelpLook,
): string[][] {
  const { style } = look;
  return [
    table(
      firstExamples.map(([line, does]) => [style.cyan(line), does]),
      look,
    ),
    [`${style.bold('Usage:')} trollfix <command> [flags]`],
    [style.bold('Commands'), ...table(childRows(node, summaries, look), look)],
    ...(look.short ? [] : [[style.bold('Flags for every command'), ...optionTable(globalOptions, look)]]),
    [
      ...(look.short ? ['`trollfix --help` tells the flags that every command takes.'] : []),
      '`trollfix <command> --help` tells more and gives examples; `trollfix help exit-codes` the codes for scripts.',
    ],
  ];
}

function groupSections(
  node: CommandNode,
  summaries: Readonly<Record<string, string>>,
  look: HelpLook,
): string[][] {
  const { style } = look;
  const name = ['trollfix', ...node.path].join(' ');
  const summary = summaries[node.path.join(' ')];
  const examples = [...node.children.values()].flatMap((child) => child.spec?.examples.slice(0, 1) ?? []);
  return [
    ...(summary ? [[`${style.bold(name)}: ${summary}`]] : []),
    table(
      examples.slice(0, 4).map(({ line, does }) => [style.cyan(line), does]),
      look,
    ),
    [`${style.bold('Usage:')} ${name} <command> [flags]`],
    [style.bold('Commands'), ...table(childRows(node, summaries, look), look)],
    [`\`${name} <command> --help\` tells more.`],
  ];
}

function commandSections(spec: CommandSpec, look: HelpLook): string[][] {
  const { style, columns } = look;
  const title = `${style.bold(`trollfix ${spec.path.join(' ')}`)}: ${spec.summary}`;
  const about = spec.description ? ['', ...wrapWords(spec.description, Math.min(columns, 100))] : [];
  const args = (spec.arguments ?? []).map((argument) => [
    argument.required ? `<${argument.name}>` : `[${argument.name}]`,
    argument.description,
  ]);
  return [
    [...wrapWords(title, Math.min(columns, 100)), ...about],
    [`${style.bold('Usage:')} ${usageLine(spec)}`],
    [
      style.bold('Examples'),
      ...table(
        spec.examples.map(({ line, does }) => [style.cyan(line), does]),
        look,
      ),
    ],
    ...(args.length > 0 ? [[style.bold('Arguments'), ...table(args, look)]] : []),
    ...(spec.options?.length ? [[style.bold('Flags'), ...optionTable(spec.options, look)]] : []),
    [
      style.bold('Flags for every command'),
      ...wrapWords(globalLine(), Math.min(columns, 100) - 2).map(indent),
    ],
  ];
}

/** `trollfix seat revoke [flags] <stream> <user>` */
export function usageLine(spec: CommandSpec): string {
  const args = (spec.arguments ?? []).map(({ name, required, variadic }) => {
    const text = variadic ? `${name}...` : name;
    return required ? `<${text}>` : `[${text}]`;
  });
  return ['trollfix', ...spec.path, ...args, ...(spec.options?.length ? ['[flags]'] : [])].join(' ');
}

function childRows(
  node: CommandNode,
  summaries: Readonly<Record<string, string>>,
  { short, style }: HelpLook,
): string[][] {
  return [...node.children.entries()].map(([word, child]) => {
    if (child.spec) return [style.cyan(word), child.spec.summary];
    const verbs = short ? '' : ` ${[...child.children.keys()].join('|')}`;
    return [`${style.cyan(word)}${verbs}`, summaries[child.path.join(' ')] ?? ''];
  });
}

function globalLine(): string {
  return globalOptions
    .map((option) => option.flags.replace(/^-\w, /, '').replaceAll(' ', '\u00a0'))
    .join('  ');
}

/** What stands beside an option in help and docs: its description, choices and default. */
export function optionDescription(option: OptionSpec): string {
  const notes = [
    ...(option.required ? ['needed'] : []),
    ...(option.choices ? [`one of ${option.choices.join(', ')}`] : []),
    ...(option.default !== undefined && option.default !== false ? [`default: ${option.default}`] : []),
    ...(option.repeatable ? ['may be repeated'] : []),
  ];
  return option.description + (notes.length > 0 ? ` (${notes.join('; ')})` : '');
}

function optionTable(options: readonly OptionSpec[], look: HelpLook): string[] {
  const rows = options.map((option) => [
    option.flags.startsWith('--') ? `    ${option.flags}` : option.flags,
    optionDescription(option),
  ]);
  return table(rows, look);
}

function indent(line: string): string {
  return `  ${line}`;
}

/** Left column wider than this makes a row take two lines, so that one long row does not push all others right. */
const leftColumnLimit = 46;

function table(rows: ReadonlyArray<readonly string[]>, look: HelpLook): string[] {
  const short = rows.filter(([left = '']) => displayWidth(left) <= leftColumnLimit);
  const width = Math.max(0, ...short.map(([left = '']) => displayWidth(left)));
  const rest = Math.max(30, look.columns - width - 4);
  return rows.flatMap(([left = '', right = '']) => {
    const lines = wrapWords(right, rest);
    if (displayWidth(left) > leftColumnLimit) {
      return [`  ${left}`, ...lines.map((line) => `  ${' '.repeat(width + 2)}${line}`)];
    }
    const cells = lines.map((line, i) => [i === 0 ? padToWidth(left, width) : ' '.repeat(width), line]);
    return alignColumns(cells, { indent: 2 });
  });
}
