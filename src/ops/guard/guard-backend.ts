import type { Target } from '../../config/target.ts';
import type { Clock } from '../../kernel/clock.ts';
import { TrollfixError } from '../../kernel/errors.ts';
import type { Logger } from '../../kernel/log.ts';
import { openDatabase } from '../../target/postgres/pool.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { ChangeListener, ChangeSource } from './change-source.ts';
import type { GuardStore } from './guard-store.ts';
import { listenSource } from './listen-source.ts';
import { postgresStore } from './postgres-store.ts';
import { realtimeSource } from './realtime-source.ts';

import { restStore } from './rest-store.ts';
import { createSeatTable, type SeatTable } from './seat-table.ts';
import { createStoreSeatTable } from './seat-table-store.ts';

/** What a guard reads the rows through and hears of changes by. */
export interface GuardBackend {
  readonly store: GuardStore;
  readonly source: ChangeSource;
  /** For a gate; it does nothing until it is started. */
  readonly table: SeatTable;
  close(): Promise<void>;
}

/** One for LISTEN, one for each of the two loops, the rest for bursts of rooms. */
const poolSize = 6;

/**
 * `listen` over a connection to PostgreSQL, `realtime` over the project's HTTPS address alone.
 * @throws TF-CFG-005 when the target does not say what that takes
 */
export function openBackend(
  target: Target,
  kind: ChangeSource['kind'],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): GuardBackend {
  return kind === 'listen' ? overPostgres(target, clock, log) : overHttps(target, clock, log);
}

function overPostgres({ name, databaseUrl }: Target, clock: Clock, log: Logger): GuardBackend {
  if (databaseUrl === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${name}" has no databaseUrl`, {
      hint: 'set DATABASE_URL (TROLLFIX_DATABASE_URL), or hear of changes by Realtime: --source realtime',
    });
  }
  const database = openDatabase(databaseUrl.reveal(), { max: poolSize, applicationName: 'trollfix guard' });
  return {
    store: postgresStore(database),
    source: listenSource(database),
    table: createSeatTable({ databaseUrl, clock, log }),
    close: () => database.end(),
  };
}

function overHttps({ name, supabaseUrl, serviceRoleKey }: Target, clock: Clock, log: Logger): GuardBackend {
  if (serviceRoleKey === undefined) {
    throw new TrollfixError('TF-CFG-005', `target "${name}" has no serviceRoleKey`, {
      hint: 'set SUPABASE_SERVICE_ROLE_KEY (TROLLFIX_SERVICE_ROLE_KEY): bans are hidden from every other key',
    });
  }
  const rest = new SupabaseRest({ supabaseUrl, apiKey: serviceRoleKey.reveal(), connections: poolSize });
  const store = restStore(rest);
  const table = createStoreSeatTable({ store, clock, log });
  const source = realtimeSource({ supabaseUrl, serviceRoleKey: serviceRoleKey.reveal() });
  return { store, source: overheard(source, table), table, close: () => rest.close() };
}

/** The same source, heard by somebody else too, who is told first. */
function overheard(source: ChangeSource, other: ChangeListener): ChangeSource {
  return {
    kind: source.kind,
    start: (listener) =>
      source.start({
        changed: (pair) => {
          other.changed(pair);
          listener.changed(pair);
        },
        connected: () => {
          other.connected();
          listener.connected();
        },
        lost: (reason) => {
          other.lost(reason);
          listener.lost(reason);
        },
      }),
    stop: () => source.stop(),
  };
}
