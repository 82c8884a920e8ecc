import { createHash } from 'node:crypto';
import os from 'node:os';
import type { Machine } from '../record/run-record.ts';

/**
 * The machine a run was made on. The fingerprint stands for what makes figures comparable (processor, cores, memory
 * to the GiB, system); it holds no host name, so two machines of one kind count as one.
 */
export function describeMachine(): Machine {
  const processors = os.cpus();
  const cpuModel = processors[0]?.model ?? 'unknown';
  const memoryBytes = os.totalmem();
  const system = `${os.type()} ${os.release()} ${os.arch()}`;
  const identity = [
    cpuModel,
    processors.length,
    Math.round(memoryBytes / 2 ** 30),
    os.type(),
    os.arch(),
  ].join('|');
  return {
    cpus: processors.length,
    cpuModel,
    memoryBytes,
    os: system,
    fingerprint: createHash('sha256').update(identity).digest('hex').slice(0, 16),
  };
}
