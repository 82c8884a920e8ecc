import { type CompletionEntry, type CompletionFlag, flagsWithValue } from './completion-table.ts';

/** A completion script for fish. */
export function fishCompletion(table: readonly CompletionEntry[]): string {
  const paths = table.map(({ path }) => path).filter((path) => path !== '');
  const withValue = flagsWithValue(table);
  return `# fish completion for trollfix; made by \`trollfix completion fish\`
function __trollfix_path
    set -l path
    set -l previous
    for word in (commandline -opc)[2..-1]
        set -l before $previous
        set previous $word
        contains -- "$before" ${withValue.join(' ')}; and continue
        string match -q -- '-*' $word; and continue
        set -l candidate (string join ' ' $path $word)
        contains -- $candidate ${paths.map(quote).join(' ')}; and set path $path $word
    end
    string join ' ' $path
end

function __trollfix_at
    set -l here (__trollfix_path)
    test "$here" = "$argv"
end

complete -c trollfix -f
${table.flatMap(entryLines).join('\n')}
`;
}

function entryLines({ path, words, flags }: CompletionEntry): string[] {
  const here = `-n ${quote(`__trollfix_at ${path}`.trimEnd())}`;
  return [
    ...words.map(
      ({ word, description }) => `complete -c trollfix ${here} -a ${quote(word)} -d ${quote(description)}`,
    ),
    ...flags.map((flag) => flagLine(here, flag)),
  ];
}

function flagLine(here: string, flag: CompletionFlag): string {
  const parts = [
    `complete -c trollfix ${here} -l ${quote(flag.long.slice(2))}`,
    ...(flag.short ? [`-s ${flag.short.slice(1)}`] : []),
    ...(flag.takesValue ? [flag.isPath ? '-r -F' : '-x'] : []),
    ...(flag.choices.length > 0 ? [`-a ${quote(flag.choices.join(' '))}`] : []),
    `-d ${quote(flag.description)}`,
  ];
  return parts.join(' ');
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
