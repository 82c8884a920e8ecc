import { messageOf } from '../kernel/errors.ts';
import { answersHttp } from './livekit.ts';
import { askPostgres } from './postgres.ts';
import { isAlive } from './process-identity.ts';
import type { ServiceState, StackState } from './stack-state.ts';

/** A stack as it is now, not as it was written down. */
export interface StackHealth {
  /** Whether somebody holds it up; without that its services may live but nobody would stop them. */
  readonly supervised: boolean;
  readonly services: readonly ServiceState[];
}

/** Asks every service of the stack whether it is there and answers. */
export async function checkStack(state: StackState): Promise<StackHealth> {
  const [supervised, services] = await Promise.all([
    isAlive(state.supervisor),
    Promise.all(state.services.map((service) => checkService(service, state))),
  ]);
  return { supervised, services };
}

async function checkService(service: ServiceState, state: StackState): Promise<ServiceState> {
  if (service.health === 'missing' || service.health === 'starting') return service;
  const { pid, startTime } = service;
  if (pid === null || startTime === null || !(await isAlive({ pid, startTime }))) {
    return dead({ ...service, pid: null, startTime: null }, service.reason ?? `pid ${pid} is gone`);
  }
  const trouble = await ask(service, state);
  if (trouble !== undefined) return dead(service, `pid ${pid} is there, but ${trouble}`);
  return service;
}

function dead(service: ServiceState, reason: string): ServiceState {
  return { ...service, health: 'dead', reason };
}

/** What is wrong with its answer, or undefined. */
async function ask(service: ServiceState, { env }: StackState): Promise<string | undefined> {
  switch (service.name) {
    case 'postgres':
      return askDatabase(env.DATABASE_URL);
    case 'gateway':
      return askHttp(`${service.url}/health`);
    case 'livekit':
      return askHttp(service.url.replace(/^ws/, 'http'));
    case 'hls':
      return askHttp(service.url);
    case 'guard':
      // that LiveKit or the database is away makes it unhealthy, not dead
      return askHttp(`${service.url}/livez`);
    case 'settler':
      // it listens on nothing: that it lives is all there is to see
      return undefined;
  }
}

async function askHttp(url: string): Promise<string | undefined> {
  return (await answersHttp(url)) ? undefined : `${url} does not answer`;
}

async function askDatabase(url: string): Promise<string | undefined> {
  try {
    await askPostgres(url, 'trollfix status');
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
