/** GitHub shows ten annotations of a kind and step; more would be dropped there without a word. */
const annotationsLimit = 10;

/** Workflow commands (`::error …`) for GitHub Actions; they go to stderr, which the runner reads as well. */
export function annotationLines(title: string, messages: readonly string[]): string[] {
  const shown = messages.slice(0, annotationsLimit);
  const rest = messages.length - shown.length;
  return shown.map((message, i) => {
    const more = rest > 0 && i === shown.length - 1 ? ` (and ${rest} more)` : '';
    return `::error title=${escapeProperty(title)}::${escapeData(message + more)}`;
  });
}

// https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
