import { redact } from '../../kernel/redact.ts';

// Shorter values would be found inside innocent words; no key or token of the services is that short.
const shortestSecret = 6;

/** Keys under which a string is a secret whatever it looks like. */
const secretKey = /(?:password|secret|token|service_?role_?key|anon_?key|api_?key|database_?url)$/i;

/**
 * Takes secrets out of what is written: by form (JWTs, `sb_…` keys, passwords in URLs, `token=…`) and, for the
 * secrets of the target in use, by their exact value.
 */
export class Redactor {
  readonly #values = new Set<string>();

  /** Makes a secret known. For a URL its password counts, not the whole. */
  add(secret: string): void {
    const password = /^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:([^\s@/]+)@/i.exec(secret)?.[1];
    if (password !== undefined) {
      this.#keep(password);
      try {
        this.#keep(decodeURIComponent(password));
      } catch {
        // not percent-encoded after all: the literal form above is the only one
      }
      return;
    }
    this.#keep(secret);
  }

  text(text: string): string {
    let rest = text;
    for (const value of this.#values) rest = rest.replaceAll(value, '[redacted]');
    return redact(rest);
  }

  /** The same for a value that becomes JSON. */
  json(value: unknown, space?: number): string {
    return redactStrings(value, (text) => this.text(text), space);
  }

  #keep(value: string): void {
    if (value.length >= shortestSecret) this.#values.add(value);
  }
}

/**
 * JSON with the secrets taken out, string by string, so that it stays JSON: the text patterns would cut into
 * `"token": null`. A string under a key that names a secret goes whatever it looks like.
 */
export function redactStrings(value: unknown, redactText: (text: string) => string, space?: number): string {
  return JSON.stringify(
    value,
    (key, item: unknown) => {
      if (typeof item !== 'string') return item;
      const named = secretKey.test(key) && item !== '' && !/^\[.*\]$/.test(item);
      return named ? '[redacted]' : redactText(item);
    },
    space,
  );
}
