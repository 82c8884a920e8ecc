const patterns: ReadonlyArray<readonly [RegExp, string]> = [
  // JWTs, whole or cut off after the header
  [/eyJ[\w-]{6,}(?:\.[\w-]*){0,2}/g, '[jwt]'],
  [/sb_(?:secret|publishable)_[\w-]+/g, '[key]'],
  // the password of a URL
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]+@/gi, '$1:[redacted]@'],
  [
    /((?:password|secret|token|apikey|api_key|access_token)["']?\s*[=:]\s*["']?)[^\s"',&}]+/gi,
    '$1[redacted]',
  ],
];

/** Takes tokens, keys and passwords out of a text before anybody sees it. */
export function redact(text: string): string {
  return patterns.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
}

/** A value that must not be printed: it shows itself as `[redacted]` in text, JSON and `util.inspect`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, to be handed to a client and nowhere else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[redacted]';
  }
}
