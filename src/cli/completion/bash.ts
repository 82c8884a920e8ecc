import { type CompletionEntry, flagsWithValue } from './completion-table.ts';

/** A completion script for bash 3.2 (macOS) and later. It needs no bash-completion package. */
export function bashCompletion(table: readonly CompletionEntry[]): string {
  const withValue = flagsWithValue(table);
  return `# bash completion for trollfix; made by \`trollfix completion bash\`
_trollfix_words() {
  case "$1" in
${table.map(({ path, words }) => `    ${quote(path)}) printf '%s' ${quote(words.map(({ word }) => word).join(' '))} ;;`).join('\n')}
  esac
}

_trollfix_flags() {
  case "$1" in
${table.map(({ path, flags }) => `    ${quote(path)}) printf '%s' ${quote(flags.map(({ long }) => long).join(' '))} ;;`).join('\n')}
  esac
}

_trollfix_values() {
  case "$1 $2" in
${valueCases(table).join('\n')}
    *) return 1 ;;
  esac
}

_trollfix() {
  local current previous path word i candidate
  COMPREPLY=()
  current="\${COMP_WORDS[COMP_CWORD]}"
  previous="\${COMP_WORDS[COMP_CWORD-1]}"
  path=""
  i=1
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[i]}"
    case "$word" in
      ${withValue.join('|')}) i=$((i + 1)) ;;
      -*) ;;
      *)
        candidate="\${path:+$path }$word"
        if [ -n "$(_trollfix_flags "$candidate")" ]; then path="$candidate"; fi
        ;;
    esac
    i=$((i + 1))
  done
  case "$previous" in
    ${withValue.join('|')})
      if candidate="$(_trollfix_values "$path" "$previous")"; then
        if [ "$candidate" = ":path" ]; then
          COMPREPLY=($(compgen -f -- "$current"))
        else
          COMPREPLY=($(compgen -W "$candidate" -- "$current"))
        fi
      fi
      return 0
      ;;
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$(_trollfix_flags "$path")" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$(_trollfix_words "$path")" -- "$current")) ;;
  esac
  return 0
}

complete -F _trollfix trollfix
`;
}

/** \`<path> <flag>\` to what its value may be, where that is known; \`:path\` stands for files. */
function valueCases(table: readonly CompletionEntry[]): string[] {
  return table.flatMap(({ path, flags }) =>
    flags
      .filter((flag) => flag.choices.length > 0 || flag.isPath)
      .map((flag) => {
        const values = flag.isPath ? ':path' : flag.choices.join(' ');
        return `    ${quote(`${path} ${flag.long}`)}) printf '%s' ${quote(values)} ;;`;
      }),
  );
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
