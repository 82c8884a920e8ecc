// The escape sequences of colours: they take no room on the screen.
const colourCodes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

export function withoutColours(text: string): string {
  return text.replace(colourCodes, '');
}

/** How many cells a text takes, near enough: colours take none, wide East Asian letters and emoji two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of withoutColours(text)) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0xfe0f || code === 0x200d || (code >= 0x300 && code <= 0x36f)) continue;
    width +=
      (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xffdc) || code >= 0x1f300 ? 2 : 1;
  }
  return width;
}

/** Breaks a text at spaces so that no line is longer than `width`, where words allow it. */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}
