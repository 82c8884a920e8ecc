import path from 'node:path';
import { TrollfixError } from '../kernel/errors.ts';
import { checkStack, type StackHealth } from '../local/stack-health.ts';
import { emptyEnv, type StackState } from '../local/stack-state.ts';
import type { Style } from './command.ts';
import { alignColumns } from './output/columns.ts';
import type { StatusData } from './outputs/status.ts';

/** What `status` and `up` answer about the stack of `stateDir`, asked now. */
export async function stackStatus(stateDir: string, state: StackState | undefined): Promise<StatusData> {
  if (state === undefined) {
    return { state: 'down', stateDir, supervisorPid: null, startedAt: null, services: [], env: {} };
  }
  const health = await checkStack(state);
  return {
    state: health.supervised ? state.phase : 'orphaned',
    stateDir,
    supervisorPid: health.supervised ? state.supervisor.pid : null,
    startedAt: state.startedAt,
    services: health.services.map(({ startTime: _, ...service }) => service),
    env: { ...(state.phase === 'starting' ? emptyEnv : state.env) },
  };
}

/** Why a status is not one to work with, or undefined. A LiveKit that is missing was said so at the start. */
export function statusTrouble(status: StatusData): TrollfixError | undefined {
  if (status.state === 'down') return new TrollfixError('TF-STK-001', 'the embedded stack is not up');
  if (status.state === 'orphaned') {
    return new TrollfixError('TF-STK-001', 'the process that held the embedded stack up is gone', {
      hint: 'clean up what it left and start again: trollfix down && trollfix up --detach',
    });
  }
  if (status.state !== 'up') {
    return new TrollfixError('TF-STK-001', `the embedded stack is ${status.state}`, { hint: 'ask again' });
  }
  const dead = status.services.find((service) => service.health === 'dead');
  return (
    dead && new TrollfixError('TF-STK-003', `${dead.name} of the embedded stack is dead`, deadOptions(dead))
  );
}

function deadOptions(dead: StatusData['services'][number]): { why?: string; hint: string } {
  const hint = `read its log: trollfix logs ${dead.name}; start again: trollfix down && trollfix up --detach`;
  return dead.reason === undefined ? { hint } : { why: dead.reason, hint };
}

/** The services as a table and, when it is up, the lines for an .env file. */
export function statusText(status: StatusData, style: Style): string {
  if (status.services.length === 0) return `the embedded stack is ${status.state}\n`;
  const rows = status.services.map((service) => [
    service.name,
    healthText(service.health, style),
    service.version ?? '-',
    service.pid === null ? '-' : String(service.pid),
    service.reason === undefined ? service.url || '-' : service.reason,
  ]);
  const head = ['SERVICE', 'HEALTH', 'VERSION', 'PID', 'URL'].map((title) => style.dim(title));
  const lines = alignColumns([head, ...rows]);
  const logs = path.join(status.stateDir, 'logs');
  const { DEMO_URL: demo } = status.env;
  const demoLines = status.state === 'up' && demo ? [`demo: ${demo}`] : [];
  return `${[...lines, '', envText(status.env), ...demoLines, style.dim(`logs: ${logs}`)].join('\n')}\n`;
}

function healthText(health: StackHealth['services'][number]['health'], style: Style): string {
  switch (health) {
    case 'healthy':
      return style.green(health);
    case 'dead':
      return style.red(health);
    default:
      return style.yellow(health);
  }
}

/** `NAME=value` lines. Values are URLs, hexadecimal and base64url: nothing a shell would read differently. */
export function envText(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
