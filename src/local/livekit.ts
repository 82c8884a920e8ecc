import { stringify } from 'yaml';
import { sleep } from '../kernel/clock.ts';
import { pollUntil } from '../kernel/deadline.ts';
import { messageOf } from '../kernel/errors.ts';
import { freeTcpPort, freeUdpPort, loopback } from './free-port.ts';
import type { LaunchContext, RunningService, ServiceDefinition } from './service.ts';
import { stopLadders } from './service-names.ts';
import { describeExit, type ServiceProcess, spawnService } from './service-process.ts';

export interface LiveKitOptions {
  readonly bin: string;
  readonly version: string;
  readonly logFile: string;
  readonly apiKey: string;
  /** At least 32 characters: livekit-server refuses less. */
  readonly apiSecret: string;
  /** Where it reports what happens in rooms; undefined: nowhere. */
  readonly webhookUrl?: string | undefined;
}

/** Start to HTTP 200 takes 60–370 ms (livekit.md §7). */
const readyMs = 10_000;

/** One look whether it answers. */
const probeMs = 1000;

/**
 * For this long after it serves, a SIGTERM is swallowed: HTTP is ready about 100 ms before the server arms its stop
 * flag (its server.go sleeps so long); livekit.md §7 measured a clean stop from 250 ms on.
 */
const unstoppableMs = 250;

/** Tries at another pair of ports when somebody took a chosen one in between. */
const portAttempts = 5;

/** A real livekit-server that listens on 127.0.0.1 only: one TCP port and one UDP port, both chosen here. */
export function liveKitService(options: LiveKitOptions): ServiceDefinition {
  let udpPort = 0;
  return {
    name: 'livekit',
    logFile: options.logFile,
    launch: async (context) => {
      for (let attempt = 1; ; attempt++) {
        context.signal.throwIfAborted();
        const port = context.port || (await freeTcpPort());
        udpPort ||= await freeUdpPort();
        try {
          return await launch(options, { port, udpPort }, context);
        } catch (error) {
          const taken = /address already in use/.test(messageOf(error));
          if (!taken || attempt === portAttempts) throw error;
          udpPort = 0;
        }
      }
    },
  };
}

interface Ports {
  readonly port: number;
  readonly udpPort: number;
}

async function launch(
  options: LiveKitOptions,
  ports: Ports,
  context: LaunchContext,
): Promise<RunningService> {
  const process = await spawnService(
    { command: options.bin, args: ['--config-body', liveKitConfig(options, ports)], env: {} },
    context.log,
  );
  context.spawned(process, ports.port);
  try {
    await untilReady(process, ports.port, context.signal);
    await sleep(unstoppableMs, context.signal);
    // 200 may have come from somebody else on that port, with ours gone: exit code 0 and all
    if (process.exit !== undefined) throw new Error(describeExit(process.exit));
  } catch (error) {
    await process.end(stopLadders.livekit);
    throw error;
  }
  return { process, url: `ws://${loopback}:${ports.port}`, port: ports.port, version: options.version };
}

/** The configuration of livekit.md §7, verified there to listen on loopback only. Unknown keys are fatal to it. */
export function liveKitConfig(
  options: Pick<LiveKitOptions, 'apiKey' | 'apiSecret' | 'webhookUrl'>,
  ports: Ports,
): string {
  const { webhookUrl } = options;
  return stringify({
    port: ports.port,
    bind_addresses: [loopback],
    log_level: 'warn',
    logging: { json: true },
    keys: { [options.apiKey]: options.apiSecret },
    rtc: {
      // anything but 0 listens on every address, whatever bind_addresses says
      tcp_port: 0,
      udp_port: ports.udpPort,
      node_ip: loopback,
      use_external_ip: false,
      enable_loopback_candidate: true,
      interfaces: { includes: ['lo'] },
      stun_servers: [],
    },
    turn: { enabled: false },
    // a room that everybody has left goes soon: drills make many
    room: { auto_create: true, empty_timeout: 30, departure_timeout: 5 },
    ...(webhookUrl === undefined ? {} : { webhook: { api_key: options.apiKey, urls: [webhookUrl] } }),
  });
}

async function untilReady(process: ServiceProcess, port: number, signal: AbortSignal): Promise<void> {
  const ready = async () => {
    // its exit code is 0 even for a bad configuration or a taken port: that it has gone is the failure
    if (process.exit !== undefined) throw new Error(describeExit(process.exit));
    return (await answersHttp(`http://${loopback}:${port}/`)) ? true : undefined;
  };
  await pollUntil(ready, { ms: readyMs, everyMs: 20, what: 'its answer over HTTP', signal });
}

/** Whether a GET is answered with success; the body is read so that the connection ends. */
export async function answersHttp(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(probeMs),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
