import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Target } from '../../../../src/config/target.ts';
import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { packageRoot } from '../../../../src/kernel/package-root.ts';
import { GuardPlace } from '../../../../src/local/guard-process.ts';

/** `trollfix guard` in a process of its own. */
export class GuardChild implements AsyncDisposable {
  readonly gateUrl: string;
  readonly deskUrl: string;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(child: ChildProcess, { gateUrl, deskUrl }: GuardPlace) {
    this.#child = child;
    this.gateUrl = gateUrl;
    this.deskUrl = deskUrl;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
  }

  /** Up as far as `/livez` or `/healthz` tells. */
  static async start(target: Target, until: '/livez' | '/healthz', args: string[] = []): Promise<GuardChild> {
    const { livekit, databaseUrl, supabaseUrl, anonKey } = target;
    const place = await GuardPlace.choose();
    await place.release();
    const at = (port: number) => `127.0.0.1:${port}`;
    const main = path.join(packageRoot, 'test/integration/harness/cli-main.ts');
    const listen = ['--gate', at(place.ports.gate), '--metrics', at(place.ports.desk)];
    const child = spawn(process.execPath, [main, 'guard', ...listen, ...args], {
      cwd: '/',
      env: {
        TROLLFIX_TARGET: 'env',
        TROLLFIX_SUPABASE_URL: supabaseUrl,
        TROLLFIX_ANON_KEY: anonKey.reveal(),
        TROLLFIX_DATABASE_URL: databaseUrl?.reveal(),
        TROLLFIX_LIVEKIT_URL: livekit?.url,
        TROLLFIX_LIVEKIT_API_KEY: livekit?.apiKey,
        TROLLFIX_LIVEKIT_API_SECRET: livekit?.apiSecret.reveal(),
      },
    });
    const guard = new GuardChild(child, place);
    const isUp = async () => {
      if (child.exitCode !== null) throw new Error(`the guard ended: ${guard.output}`);
      const answer = await fetch(`${place.deskUrl}${until}`).catch(() => null);
      return answer?.ok ? true : undefined;
    };
    try {
      await pollUntil(isUp, { ms: 60_000, everyMs: 50, what: `${until} of the guard` });
    } catch (error) {
      await guard.kill();
      throw error;
    }
    return guard;
  }

  /** Everything it wrote, to stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  /** @returns its exit code; null when a signal ended it */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return exitCode;
    const gone = once(this.#child, 'close');
    this.#child.kill(signal);
    const [code] = await gone;
    return code;
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
