/** Where the program's own remarks go. The CLI writes them to stderr, daemons to their log file. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** What a long-running core function tells whoever watches it. */
export type ProgressEvent =
  | { readonly kind: 'step'; readonly text: string }
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string }
  | {
      readonly kind: 'load';
      readonly probe: string;
      readonly elapsedMs: number;
      readonly totalMs: number;
      /** Arrivals per second over the last interval: what was due, and what was done. */
      readonly offeredPerS: number;
      readonly achievedPerS: number;
      readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
      readonly errors: number;
    };

export type Progress = (event: ProgressEvent) => void;

export const silentProgress: Progress = () => {};
