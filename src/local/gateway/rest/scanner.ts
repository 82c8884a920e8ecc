import { badQuery, type RestError } from './rest-error.ts';

/** Nesting that no client writes by hand; recursion below it cannot reach the end of the stack. */
export const nestingLimit = 20;

/** Reads one value of the query string from left to right; failures say where, as PostgREST does. */
export class Scanner {
  readonly #text: string;
  readonly #what: string;
  #at = 0;

  /** @param what names the value in error messages: `select parameter`, `filter` … */
  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Whether `token` stands here. */
  sees(token: string): boolean {
    return this.#text.startsWith(token, this.#at);
  }

  /** Steps over `token` if it stands here. */
  take(token: string): boolean {
    if (!this.sees(token)) return false;
    this.#at += token.length;
    return true;
  }

  expect(token: string): void {
    if (!this.take(token)) throw this.failure(`"${token}"`);
  }

  /** Steps over what `pattern` (sticky) matches here; undefined when it matches nothing. */
  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined || found === '') return undefined;
    this.#at += found.length;
    return found;
  }

  rest(): string {
    const rest = this.#text.slice(this.#at);
    this.#at = this.#text.length;
    return rest;
  }

  /** A double-quoted text with backslash escapes, or undefined when none stands here. */
  quoted(): string | undefined {
    const raw = this.match(/"(?:[^"\\]|\\[\s\S])*"/y);
    return raw?.slice(1, -1).replace(/\\([\s\S])/g, '$1');
  }

  /** The name of a column, table, alias: bare or in double quotes. */
  name(expected = 'field name'): string {
    const name = this.quoted() ?? this.match(/(?:[\p{L}\p{N}_ $]|-(?!>))+/uy)?.trim();
    if (name === undefined || name === '') throw this.failure(expected);
    return name;
  }

  failure(expected: string): RestError {
    const found = this.atEnd ? 'end of input' : JSON.stringify(this.#text.charAt(this.#at));
    return badQuery(
      `"failed to parse ${this.#what} (${this.#text})" (line 1, column ${this.#at + 1})`,
      `unexpected ${found} expecting ${expected}`,
    );
  }
}
