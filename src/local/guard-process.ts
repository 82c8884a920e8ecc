import { pollUntil } from '../kernel/deadline.ts';
import { packageVersion } from '../kernel/package-root.ts';
import { type CliCommand, spawnCli } from './cli-child.ts';
import { type HeldPort, holdTcpPort, loopback } from './free-port.ts';
import { answersHttp } from './livekit.ts';
import type { ServiceDefinition } from './service.ts';
import { stopLadders } from './service-names.ts';
import { describeExit, type ServiceProcess } from './service-process.ts';

/** Where a guard of the stack listens. LiveKit and the gateway, which start before it, are told. */
export interface GuardPorts {
  /** Clients come in here. */
  readonly gate: number;
  /** Metrics, health, LiveKit's webhooks. */
  readonly desk: number;
}

/** Loading the CLI takes 0.5 s, the first look at database and rooms 0.1 s; several times that on a starved machine. */
const readyMs = 30_000;

/** Ports chosen before there is a guard, held so that nobody else takes them meanwhile. */
export class GuardPlace {
  readonly ports: GuardPorts;
  readonly #held: readonly HeldPort[];

  private constructor(gate: HeldPort, desk: HeldPort) {
    this.ports = { gate: gate.port, desk: desk.port };
    this.#held = [gate, desk];
  }

  static async choose(): Promise<GuardPlace> {
    return new GuardPlace(await holdTcpPort(), await holdTcpPort());
  }

  get gateUrl(): string {
    return `ws://${loopback}:${this.ports.gate}`;
  }

  get deskUrl(): string {
    return `http://${loopback}:${this.ports.desk}`;
  }

  get webhookUrl(): string {
    return `${this.deskUrl}/webhook`;
  }

  /** Gives the ports free for their guard. Idempotent. */
  async release(): Promise<void> {
    await Promise.all(this.#held.map((port) => port.release()));
  }
}

/** `trollfix guard` as a process of its own, with its gate and its webhook receiver. Ready when it says it is healthy. */
export function guardService(command: CliCommand, place: GuardPlace, logFile: string): ServiceDefinition {
  return {
    name: 'guard',
    logFile,
    launch: async (context) => {
      await place.release();
      const process = await spawnCli(command, place.ports.desk, context);
      try {
        await untilHealthy(process, place, context.signal);
      } catch (error) {
        await process.end(stopLadders.guard);
        throw error;
      }
      return { process, url: place.deskUrl, port: place.ports.desk, version: packageVersion() };
    },
  };
}

async function untilHealthy(
  process: ServiceProcess,
  { deskUrl }: GuardPlace,
  signal: AbortSignal,
): Promise<void> {
  const healthy = async () => {
    if (process.exit !== undefined) throw new Error(describeExit(process.exit));
    return (await answersHttp(`${deskUrl}/healthz`)) ? true : undefined;
  };
  await pollUntil(healthy, { ms: readyMs, everyMs: 20, what: 'a healthy guard', signal });
}
