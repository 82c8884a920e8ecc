import path from 'node:path';
import { packageVersion, siblingModule } from '../kernel/package-root.ts';
import { loopback } from './free-port.ts';
import type { GatewayOptions } from './gateway/gateway.ts';
import { launchNodeChild } from './node-child.ts';
import type { ServiceDefinition } from './service.ts';

/** What the gateway's process is told: its options without what cannot be sent, or is chosen here. */
export type GatewayProcessOptions = Omit<GatewayOptions, 'log' | 'host' | 'port'>;

/** The Supabase-compatible gateway in a process of its own. */
export function gatewayService(options: GatewayProcessOptions, logFile: string): ServiceDefinition {
  return {
    name: 'gateway',
    logFile,
    launch: (context) => {
      const message: Omit<GatewayOptions, 'log'> = { ...options, host: loopback, port: context.port };
      const entry = siblingModule(path.join('gateway', 'main'), import.meta.url);
      return launchNodeChild('gateway', entry, message, context, packageVersion());
    },
  };
}
