import { type CompletionEntry, type CompletionFlag, flagsWithValue } from './completion-table.ts';

/** A completion script for zsh: a function for `fpath`, which also works when it is sourced. */
export function zshCompletion(table: readonly CompletionEntry[]): string {
  const withValue = flagsWithValue(table);
  return `#compdef trollfix
# zsh completion for trollfix; made by \`trollfix completion zsh\`
_trollfix() {
  local path_words="" word candidate previous
  local -a described flags
  local -i i=2
  while (( i < CURRENT )); do
    word="\${words[i]}"
    case "$word" in
      ${withValue.join('|')}) (( i++ )) ;;
      -*) ;;
      *)
        candidate="\${path_words:+$path_words }$word"
        case "$candidate" in
          ${table
            .filter(({ path }) => path !== '')
            .map(({ path }) => quote(path))
            .join('|')}) path_words="$candidate" ;;
        esac
        ;;
    esac
    (( i++ ))
  done
  previous="\${words[CURRENT-1]}"
  case "$path_words $previous" in
${table.flatMap(({ path, flags }) => flags.filter(hasKnownValues).map((flag) => valueCase(path, flag))).join('\n')}
  esac
  case "$previous" in
    ${withValue.join('|')}) return ;;
  esac
  case "$path_words" in
${table.map(entryCase).join('\n')}
  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then
    _describe 'flag' flags
  else
    (( \${#described} )) && _describe 'command' described || _files
  fi
}

if [ "$funcstack[1]" = "_trollfix" ]; then
  _trollfix "$@"
else
  compdef _trollfix trollfix
fi
`;
}

function hasKnownValues(flag: CompletionFlag): boolean {
  return flag.isPath || flag.choices.length > 0;
}

function valueCase(path: string, flag: CompletionFlag): string {
  const offer = flag.isPath ? '_files' : `compadd -- ${flag.choices.map(quote).join(' ')}`;
  return `    ${quote(`${path} ${flag.long}`)}) ${offer}; return ;;`;
}

function entryCase({ path, words, flags }: CompletionEntry): string {
  const described = words.map(({ word, description }) => quote(describe(word, description)));
  const flagged = flags.map(({ long, description }) => quote(describe(long, description)));
  return `    ${quote(path)}) described=(${described.join(' ')}); flags=(${flagged.join(' ')}) ;;`;
}

/** \`word:description\`, the form of _describe, in which a colon of the word is escaped. */
function describe(word: string, description: string): string {
  return `${word.replaceAll(':', '\\:')}:${description}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
