import type { Readable } from 'node:stream';
import type { Clock } from '../kernel/clock.ts';
import type { OutputStream } from './output/sink.ts';

export type InputStream = Readable & { readonly isTTY?: boolean };

/** The process as the CLI sees it. `main.ts` makes it from the real one, tests from streams of their own. */
export interface Host {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdin: () => InputStream;
  readonly stdout: OutputStream;
  readonly stderr: () => OutputStream;
  readonly clock: Clock;
  /** Aborts at the first SIGINT or SIGTERM; the reason is a TF-CLI-006 or TF-CLI-008. */
  readonly interrupts: AbortSignal;
  /** Rejects with what nobody caught; never resolves. */
  readonly crash: Promise<never>;
}
