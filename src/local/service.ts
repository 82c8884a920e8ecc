import { messageOf, TrollfixError } from '../kernel/errors.ts';
import { LogTail } from './log-tail.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { type ServiceName, stopLadders } from './service-names.ts';
import { describeExit, type ProcessExit, type ServiceProcess } from './service-process.ts';

/** A service that is up. */
export interface RunningService {
  readonly process: ServiceProcess;
  readonly url: string;
  /** null: it listens on nothing. */
  readonly port: number | null;
  readonly version: string | null;
}

export interface LaunchContext {
  readonly log: LogTail;
  /** The port of its last life, to take again; 0 at the first start. */
  readonly port: number;
  /** To be called as soon as the process is there, before it is ready: a half-started stack must know its pids. */
  readonly spawned: (process: ServiceProcess, port: number | null) => void;
  readonly signal: AbortSignal;
}

/** What is particular about one service. */
export interface ServiceDefinition {
  readonly name: ServiceName;
  readonly logFile: string;
  /** Starts it and resolves when it serves. Leaves nothing running when it rejects. */
  readonly launch: (context: LaunchContext) => Promise<RunningService>;
  /** What is left to wait for when the process itself has gone. */
  readonly settle?: () => Promise<void>;
}

export type ServiceHealth = 'healthy' | 'starting' | 'dead' | 'missing';

/** A service of the stack: its process may be killed and started again, on the same port, under the same name. */
export class Service {
  readonly name: ServiceName;
  readonly logFile: string;
  readonly #definition: ServiceDefinition;
  readonly #changed: () => void;
  readonly #onExit: (service: Service, exit: ProcessExit) => void;
  #log: LogTail | undefined;
  #process: ServiceProcess | undefined;
  #health: ServiceHealth = 'starting';
  #reason: string | undefined;
  #url = '';
  #port: number | null = null;
  #version: string | null = null;
  #stopping = false;

  /**
   * @param changed called whenever anything that the state file says of it changes
   * @param onExit called when it ends without having been told to
   */
  constructor(
    definition: ServiceDefinition,
    changed: () => void,
    onExit: (service: Service, exit: ProcessExit) => void,
  ) {
    this.name = definition.name;
    this.logFile = definition.logFile;
    this.#definition = definition;
    this.#changed = changed;
    this.#onExit = onExit;
  }

  get health(): ServiceHealth {
    return this.#health;
  }
  /** Why it is not healthy. */
  get reason(): string | undefined {
    return this.#reason;
  }
  get url(): string {
    return this.#url;
  }
  get port(): number | null {
    return this.#port;
  }
  get version(): string | null {
    return this.#version;
  }
  /** Of its process, or undefined when it has none. */
  get identity(): ProcessIdentity | undefined {
    return this.#process?.exit === undefined ? this.#process?.identity : undefined;
  }
  get pid(): number | null {
    return this.identity?.pid ?? null;
  }

  /** @throws TF-STK-002 */
  async start(signal: AbortSignal): Promise<void> {
    this.#stopping = false;
    this.#set('starting', undefined);
    this.#log ??= await LogTail.open(this.logFile);
    try {
      const running = await this.#definition.launch({
        log: this.#log,
        port: this.#port ?? 0,
        spawned: (process, port) => this.#spawned(process, port),
        signal,
      });
      this.#url = running.url;
      this.#port = running.port;
      this.#version = running.version;
      this.#watch(running.process);
      this.#set('healthy', undefined);
    } catch (error) {
      signal.throwIfAborted();
      this.#set('dead', messageOf(error));
      throw startError(this.name, this.logFile, error);
    }
  }

  /** Marks a service that cannot be started here at all, and says how to get it. */
  declareMissing(reason: string): void {
    this.#set('missing', reason);
  }

  /** A chaos lever: signals the process and nothing else; an end that follows counts as a crash. */
  kill(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Stops what is left of it and starts it on the same port. @throws TF-STK-002 */
  async restart(signal: AbortSignal): Promise<void> {
    await this.#end();
    await this.start(signal);
  }

  /** Sends a message to a child of our own code. @throws TF-STK-003 when it is not running */
  send(message: Record<string, unknown>): void {
    const child = this.#process?.child;
    if (!child?.connected) {
      throw new TrollfixError('TF-STK-003', `${this.name} is not running`, {
        why: this.#reason ?? 'it was stopped',
      });
    }
    child.send(message);
  }

  async stop(): Promise<void> {
    await this.#end();
    await this.#log?.close();
    this.#log = undefined;
  }

  async #end(): Promise<void> {
    this.#stopping = true;
    const process = this.#process;
    if (process === undefined) return;
    if (!(await process.end(stopLadders[this.name]))) {
      throw new Error(`${this.name} (pid ${process.identity.pid}) does not end, not even by SIGKILL`);
    }
    await this.#definition.settle?.();
    this.#process = undefined;
    this.#set('dead', 'stopped');
  }

  #spawned(process: ServiceProcess, port: number | null): void {
    this.#process = process;
    this.#port = port;
    this.#changed();
  }

  #watch(process: ServiceProcess): void {
    void process.exited.then((exit) => {
      if (this.#stopping || this.#process !== process) return;
      this.#set('dead', describeExit(exit));
      this.#onExit(this, exit);
    });
  }

  #set(health: ServiceHealth, reason: string | undefined): void {
    this.#health = health;
    this.#reason = reason;
    this.#changed();
  }
}

function startError(name: ServiceName, logFile: string, error: unknown): TrollfixError {
  if (error instanceof TrollfixError) return error;
  return new TrollfixError('TF-STK-002', `${name} did not start: ${messageOf(error)}`, {
    hint: `read its log: ${logFile}`,
    cause: error,
  });
}
