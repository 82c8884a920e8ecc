import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface SourceFile {
  /** From `src/`, with slashes: `cli/output/sink.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface ImportOf {
  readonly from: string;
  /** A path from `src/` for our own files, else the name of the package. */
  readonly to: string;
  readonly own: boolean;
  readonly typeOnly: boolean;
}

export function readSources(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => ({
      path: name.split(path.sep).join('/'),
      text: readFileSync(path.join(folder, name), 'utf8'),
    }))
    .sort((a, b) => a.path.localeCompare(b.path));
}

/** The first folder of a path; `main` for src/main.ts. */
export function roomOf(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : file.replace(/\.ts$/, '');
}

/** Every import of a file: static, re-exported, for its side effect, dynamic, and `import('…')` in a type. */
export function importsOf({ path: from, text }: SourceFile): ImportOf[] {
  const code = withoutComments(text);
  const found: ImportOf[] = [];
  const add = (specifier: string, typeOnly: boolean) => {
    const own = specifier.startsWith('.');
    const to = own ? path.posix.normalize(path.posix.join(path.posix.dirname(from), specifier)) : specifier;
    found.push({ from, to, own, typeOnly });
  };
  for (const [, clause = '', specifier = ''] of code.matchAll(
    /^\s*(?:import|export)\s([^;'"]*?)\bfrom\s*['"]([^'"]+)['"]/gm,
  )) {
    add(specifier, isTypeOnly(clause));
  }
  for (const [, specifier = ''] of code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm)) add(specifier, false);
  for (const [, before = '', specifier = ''] of code.matchAll(
    /(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  )) {
    add(specifier, before !== '');
  }
  return found;
}

/** `import type …`. The form `import { type A }` does not count: with verbatimModuleSyntax it still loads the file. */
function isTypeOnly(clause: string): boolean {
  return /^type[\s{]/.test(clause.trim());
}

/** The code without its comments; what stands in strings and templates stays. */
export function withoutComments(text: string): string {
  return text.replace(
    /('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`)|\/\*[\s\S]*?\*\/|(^|[^:\\])\/\/[^\n]*/g,
    (_, literal: string | undefined, before: string | undefined) => literal ?? before ?? '',
  );
}

/** The code without comments and without what stands in strings, for looking for forbidden words. */
export function codeOnly(text: string): string {
  return withoutComments(text).replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''");
}
