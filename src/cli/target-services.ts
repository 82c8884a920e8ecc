import type { Target } from '../config/target.ts';
import { isAlive } from '../local/process-identity.ts';
import { readStackState, type StackState } from '../local/stack-state.ts';
import { withDatabaseOf } from './target-database.ts';

/** The stack of the project, when it is really up. */
export async function runningStack(stateDir: string): Promise<StackState | undefined> {
  const state = readStackState(stateDir);
  return state?.phase === 'up' && (await isAlive(state.supervisor)) ? state : undefined;
}

/** Versions of what a target consists of, as far as they can be known. @throws TF-DB-001, TF-DB-002 */
export async function servicesOf(
  target: Target,
  stack: StackState | undefined,
): Promise<Record<string, string>> {
  if (stack !== undefined) {
    return Object.fromEntries(stack.services.map(({ name, version, health }) => [name, version ?? health]));
  }
  if (target.databaseUrl === undefined) return {};
  return withDatabaseOf(target, 'services', async (database) => {
    const { rows } = await database.query<{ server_version: string }>('show server_version');
    return rows[0] ? { postgres: rows[0].server_version } : {};
  });
}
