import path from 'node:path';
import { packageRoot, packageVersion, siblingModule } from '../kernel/package-root.ts';
import { loopback } from './free-port.ts';
import type { HlsOriginOptions } from './hls/origin.ts';
import type { RenditionName } from './hls/renditions.ts';
import { launchNodeChild } from './node-child.ts';
import type { ServiceDefinition } from './service.ts';

export interface HlsServiceOptions {
  readonly logFile: string;
  /** Bit rates to pad the renditions to, or null for the segments as they are. */
  readonly bitsPerS: Readonly<Record<RenditionName, number>> | null;
}

/** The HLS origin in a process of its own. The stream goes on over a restart: its beginning is kept here. */
export function hlsService(options: HlsServiceOptions): ServiceDefinition {
  const epochMs = Date.now();
  return {
    name: 'hls',
    logFile: options.logFile,
    launch: (context) => {
      const origin: HlsOriginOptions = {
        host: loopback,
        port: context.port,
        mediaDir: path.join(packageRoot, 'src', 'local', 'hls-media'),
        epochMs,
        bitsPerS: options.bitsPerS,
      };
      const entry = siblingModule(path.join('hls', 'main'), import.meta.url);
      return launchNodeChild('hls', entry, origin, context, packageVersion());
    },
  };
}
