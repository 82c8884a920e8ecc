import path from 'node:path';
import process from 'node:process';
import { messageOf } from '../kernel/errors.ts';
import type { Logger, Progress } from '../kernel/log.ts';
import type { CliCommand } from './cli-child.ts';
import type { QuotaProfile } from './gateway/context.ts';
import type { DemoOptions } from './gateway/demo-site.ts';
import { mintApiKeys } from './gateway/keys.ts';
import { platformStatements } from './gateway/platform/platform.ts';
import { gatewayService } from './gateway-process.ts';
import { GuardPlace, type GuardPorts, guardService } from './guard-process.ts';
import type { HlsFault, HlsFaultKind } from './hls/faults.ts';
import type { HlsCommand } from './hls/main.ts';
import type { RenditionName } from './hls/renditions.ts';
import { hlsService } from './hls-origin.ts';
import { liveKitService } from './livekit.ts';
import { findLiveKit, type LiveKitSearch } from './livekit-binary.ts';
import { applyPlatform } from './platform-sql.ts';
import { databaseUrl, postgresService, removePostgresData, superuserUrl } from './postgres.ts';
import { postgresDataDir } from './postgres-cluster.ts';
import { identityOf, type ProcessIdentity } from './process-identity.ts';
import { Service, type ServiceDefinition } from './service.ts';
import { type ServiceName, serviceNames } from './service-names.ts';
import type { ProcessExit } from './service-process.ts';
import { settlerService } from './settler-process.ts';
import { claimStateDir, registerOwnStack } from './stack-reaper.ts';
import { forgetSecrets, makeSecrets, persistentSecrets, type StackSecrets } from './stack-secrets.ts';
import {
  emptyEnv,
  quotaOf,
  removeStackState,
  type StackEnv,
  type StackState,
  serviceStateOf,
  writeStackState,
} from './stack-state.ts';
import { isPublicFolder, unprivilegedUser } from './unprivileged-user.ts';

export interface StackOptions {
  /** `.trollfix` of the project: state, logs, data. */
  readonly stateDir: string;
  /** Whether data and keys stay for the next start. */
  readonly persistent: boolean;
  /** Forget the data and keys of earlier starts first. */
  readonly fresh?: boolean;
  /** Realtime's quotas of a hosted plan, or null for none. */
  readonly quota: QuotaProfile | null;
  /** null: without LiveKit. */
  readonly livekit: LiveKitSearch | null;
  readonly hls?: { readonly bitsPerS: Readonly<Record<RenditionName, number>> | null } | null;
  /** null: without a settler. */
  readonly settler: CliCommand | ((env: StackEnv) => CliCommand) | null;
  /** null, or left out: without a guard. Where there is no LiveKit there is nothing to guard. */
  readonly guard?: ((env: StackEnv, ports: GuardPorts) => CliCommand) | null;
  /** null, or left out: the gateway serves no demo page. */
  readonly demo?: DemoOptions | null;
  /** Called when database and gateway are up, before settler and guard start: migrations. */
  readonly provision?: (env: StackEnv) => Promise<void>;
  readonly log: Logger;
  readonly progress: Progress;
  /** Aborts a start; a stack that is up is stopped by `stop()`. */
  readonly signal: AbortSignal;
}

export type ServiceExitListener = (exit: {
  readonly service: ServiceName;
  readonly exit: ProcessExit;
  readonly reason: string;
}) => void;

export interface Stack extends AsyncDisposable {
  /** As of now; the same that stands in the state file. */
  readonly state: StackState;
  /** As the superuser of the database; nobody outside the stack needs it. */
  readonly adminUrl: string;
  /** Stops everything in order. Idempotent. */
  stop(): Promise<void>;
  /** Told of services that end by themselves. */
  onServiceExit(listener: ServiceExitListener): void;
  /** A service with its levers: kill, restart. Undefined when the stack was started without it. */
  service(name: ServiceName): Service | undefined;
  injectHlsFault(fault: HlsFault): void;
  clearHlsFault(kind?: HlsFaultKind): void;
}

/**
 * Starts the embedded stack: PostgreSQL, the gateway, LiveKit, the HLS origin, the settler and the guard, each a process of its
 * own on 127.0.0.1 with ports chosen now. What an earlier one left behind in `stateDir` is cleaned up first.
 * A missing LiveKit is no error: its service says so and everything else works.
 * @throws TF-STK-002 when a service does not start, TF-STK-006 when another process holds the folder; nothing runs then
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const stateDir = path.resolve(options.stateDir);
  const supervisor = await identityOf(process.pid);
  const user = await unprivilegedUser();
  const home = await postgresDataDir(stateDir, user);
  const stack = new EmbeddedStack(
    { ...options, stateDir },
    supervisor,
    options.persistent ? home : `${home}-temporary`,
  );
  await claimStateDir(stateDir, stack.state);
  stack.claimed();
  if (options.persistent && isPublicFolder(home)) {
    const why = `${user?.name}, whom PostgreSQL runs as, cannot walk into ${stateDir}`;
    options.progress({ kind: 'note', text: `the data are kept in ${home}: ${why}` });
  }
  try {
    await stack.start();
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

class EmbeddedStack implements Stack {
  readonly #options: StackOptions;
  readonly #supervisor: ProcessIdentity;
  readonly #dataDir: string;
  readonly #startedAt = new Date().toISOString();
  readonly #services = new Map<ServiceName, Service>();
  readonly #listeners = new Set<ServiceExitListener>();
  #phase: StackState['phase'] = 'starting';
  #env: StackEnv = emptyEnv;
  #adminUrl = '';
  readonly #failure = new AbortController();
  /** Aborts what is still starting: the caller's signal, or the failure of another part. */
  readonly #signal: AbortSignal;
  #stopped: Promise<void> | undefined;
  #release: (() => void) | undefined;
  #guardPlace: GuardPlace | undefined;

  constructor(options: StackOptions, supervisor: ProcessIdentity, dataDir: string) {
    this.#options = options;
    this.#supervisor = supervisor;
    this.#dataDir = dataDir;
    this.#signal = AbortSignal.any([options.signal, this.#failure.signal]);
  }

  get state(): StackState {
    return {
      schema: 'trollfix.stack/v1',
      supervisor: this.#supervisor,
      startedAt: this.#startedAt,
      phase: this.#phase,
      persistent: this.#options.persistent,
      quota: quotaOf(this.#options.quota),
      dataDir: this.#dataDir,
      services: serviceNames.flatMap((name) => this.#services.get(name) ?? []).map(serviceStateOf),
      env: this.#env,
    };
  }

  get adminUrl(): string {
    return this.#adminUrl;
  }

  service(name: ServiceName): Service | undefined {
    return this.#services.get(name);
  }

  onServiceExit(listener: ServiceExitListener): void {
    this.#listeners.add(listener);
  }

  injectHlsFault(fault: HlsFault): void {
    this.#tellHls({ type: 'inject', fault });
  }

  clearHlsFault(kind?: HlsFaultKind): void {
    this.#tellHls(kind === undefined ? { type: 'clear' } : { type: 'clear', kind });
  }

  #tellHls(command: HlsCommand): void {
    this.#services.get('hls')?.send(command);
  }

  /** From now on the state file is ours to write and to remove. */
  claimed(): void {
    const forget = registerOwnStack(this.#options.stateDir, this);
    // an uncaught exception must not leave servers behind that nobody holds; an exit can wait for nothing
    const onExit = () => this.#killAll();
    process.once('exit', onExit);
    this.#release = () => {
      forget();
      process.removeListener('exit', onExit);
    };
  }

  async start(): Promise<void> {
    const { persistent, fresh, stateDir } = this.#options;
    if (fresh && persistent) await forgetSecrets(stateDir);
    if (fresh || !persistent) await removePostgresData(this.#dataDir);
    const secrets = persistent ? await persistentSecrets(stateDir) : makeSecrets();
    if (this.#options.guard && this.#options.livekit) this.#guardPlace = await GuardPlace.choose();
    await this.#all([this.#startPostgres(secrets), this.#startHls(), this.#startLiveKit(secrets)]);
    await this.#startGateway(secrets);
    await this.#options.provision?.(this.#env);
    this.#signal.throwIfAborted();
    await this.#all([this.#startSettler(), this.#startGuard()]);
    this.#phase = 'up';
    this.#write();
  }

  /** The first failure ends the others too, and nothing of them is still starting when it is thrown. */
  async #all(parts: ReadonlyArray<Promise<void>>): Promise<void> {
    const results = await Promise.allSettled(parts.map((part) => part.catch((error) => this.#abort(error))));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #abort(error: unknown): never {
    this.#failure.abort(error);
    throw error;
  }

  async #startPostgres(secrets: StackSecrets): Promise<void> {
    const { authenticatorPassword, postgresPassword, adminPassword } = secrets;
    const postgres = this.#add(
      postgresService({ dataDir: this.#dataDir, logFile: this.#logFile('postgres'), adminPassword }),
    );
    await this.#startService(postgres);
    // a PostgreSQL that has started has a port
    const port = postgres.port as number;
    this.#adminUrl = superuserUrl(port, adminPassword);
    this.#env = { ...this.#env, DATABASE_URL: databaseUrl('postgres', postgresPassword, port) };
    await applyPlatform(this.#adminUrl, platformStatements({ authenticatorPassword, postgresPassword }));
  }

  async #startHls(): Promise<void> {
    if (this.#options.hls === null) return;
    const hls = this.#add(
      hlsService({ logFile: this.#logFile('hls'), bitsPerS: this.#options.hls?.bitsPerS ?? null }),
    );
    await this.#startService(hls);
    this.#env = { ...this.#env, HLS_URL: hls.url };
  }

  async #startLiveKit({ livekitApiKey: apiKey, livekitApiSecret: apiSecret }: StackSecrets): Promise<void> {
    const { livekit: search, progress } = this.#options;
    if (search === null) return;
    const binary = await findLiveKit(search, progress, this.#signal);
    const { path: bin, version } = binary.found ? binary : { path: '', version: '' };
    const livekit = this.#add(
      liveKitService({
        ...{ bin, version, apiKey, apiSecret },
        logFile: this.#logFile('livekit'),
        webhookUrl: this.#guardPlace?.webhookUrl,
      }),
    );
    if (!binary.found) {
      livekit.declareMissing(binary.reason);
      progress({ kind: 'note', text: `LiveKit is missing: ${binary.reason}` });
      return;
    }
    try {
      await this.#startService(livekit);
    } catch (error) {
      // the rest of the stack works without it, as when it is missing; its service says what happened
      this.#signal.throwIfAborted();
      progress({ kind: 'note', text: messageOf(error) });
      return;
    }
    this.#env = {
      ...this.#env,
      LIVEKIT_URL: livekit.url,
      LIVEKIT_GATE_URL: this.#guardPlace?.gateUrl ?? '',
      LIVEKIT_API_KEY: apiKey,
      LIVEKIT_API_SECRET: apiSecret,
    };
  }

  async #startGateway({ jwtSecret, authenticatorPassword }: StackSecrets): Promise<void> {
    const apiKeys = await mintApiKeys(jwtSecret);
    const { LIVEKIT_URL: url, LIVEKIT_API_KEY: apiKey, LIVEKIT_API_SECRET: apiSecret } = this.#env;
    // clients are sent to the gate where there is one
    const publicUrl = this.#env.LIVEKIT_GATE_URL || url;
    // PostgreSQL is up, so it has a port
    const port = this.#services.get('postgres')?.port as number;
    const gateway = this.#add(
      gatewayService(
        {
          adminUrl: this.#adminUrl,
          authenticatorUrl: databaseUrl('authenticator', authenticatorPassword, port),
          jwtSecret,
          apiKeys,
          livekit: url === '' ? null : { url, apiKey, apiSecret, publicUrl },
          quota: this.#options.quota,
          demo: this.#options.demo ?? null,
        },
        this.#logFile('gateway'),
      ),
    );
    await this.#startService(gateway);
    this.#env = {
      ...this.#env,
      SUPABASE_URL: gateway.url,
      SUPABASE_ANON_KEY: apiKeys.anon,
      SUPABASE_SERVICE_ROLE_KEY: apiKeys.serviceRole,
      SUPABASE_JWT_SECRET: jwtSecret,
      TOKEN_ENDPOINT: `${gateway.url}/functions/v1/livekit-token`,
      DEMO_URL: this.#options.demo ? `${gateway.url}/demo/` : '',
    };
  }

  async #startSettler(): Promise<void> {
    const { settler } = this.#options;
    if (settler === null) return;
    const command = typeof settler === 'function' ? settler(this.#env) : settler;
    await this.#startService(this.#add(settlerService(command, this.#logFile('settler'))));
  }

  async #startGuard(): Promise<void> {
    const { guard } = this.#options;
    const place = this.#guardPlace;
    if (!guard || place === undefined) return;
    const command = guard(this.#env, place.ports);
    const service = this.#add(guardService(command, place, this.#logFile('guard')));
    if (this.#env.LIVEKIT_URL === '') {
      service.declareMissing('there is no LiveKit to guard');
      return;
    }
    await this.#startService(service);
  }

  #add(definition: ServiceDefinition): Service {
    const service = new Service(
      definition,
      () => this.#write(),
      (dead, exit) => this.#serviceDied(dead, exit),
    );
    this.#services.set(definition.name, service);
    return service;
  }

  async #startService(service: Service): Promise<void> {
    await service.start(this.#signal);
    const where = service.port === null ? `pid ${service.pid}` : service.url;
    this.#options.progress({ kind: 'done', text: `${service.name} ${service.version ?? ''}: ${where}` });
  }

  #serviceDied(service: Service, exit: ProcessExit): void {
    const reason = service.reason ?? '';
    this.#options.log.error(`${service.name} died: ${reason}`, { log: service.logFile });
    for (const listener of this.#listeners) listener({ service: service.name, exit, reason });
  }

  #logFile(name: ServiceName): string {
    return path.join(this.#options.stateDir, 'logs', `${name}.log`);
  }

  /** Only between claim and removal: the file is nobody's otherwise. */
  #write(): void {
    if (this.#release !== undefined) writeStackState(this.#options.stateDir, this.state);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stopAll(): Promise<void> {
    this.#phase = 'stopping';
    this.#write();
    await this.#guardPlace?.release();
    // who uses what goes before what is used: the guard, the settler and the gateway hold connections to PostgreSQL
    const troubles = [
      ...(await this.#stopServices(['guard', 'settler'])),
      ...(await this.#stopServices(['gateway', 'hls', 'livekit'])),
      ...(await this.#stopServices(['postgres'])),
    ];
    // what did not end stays in the state file, for `down` to try again
    if (troubles.length > 0) throw new AggregateError(troubles, 'not everything was stopped');
    if (!this.#options.persistent) await removePostgresData(this.#dataDir);
    this.#release?.();
    this.#release = undefined;
    removeStackState(this.#options.stateDir, this.#supervisor);
  }

  async #stopServices(names: readonly ServiceName[]): Promise<unknown[]> {
    const results = await Promise.allSettled(names.map((name) => this.#services.get(name)?.stop()));
    const troubles = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    for (const trouble of troubles) this.#options.log.error(messageOf(trouble));
    return troubles;
  }

  #killAll(): void {
    for (const service of this.#services.values()) {
      service.kill(service.name === 'postgres' ? 'SIGINT' : 'SIGTERM');
    }
  }
}
