import { type Clock, systemClock } from '../../../../src/kernel/clock.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { Secret } from '../../../../src/kernel/redact.ts';
import type { createSeatTable, SeatTable, Standing } from '../../../../src/ops/guard/seat-table.ts';
import type { Provisioned } from '../../database/provisioned.ts';
import { startTcpRelay, type TcpRelay } from './tcp-relay.ts';

export interface WiredTable extends AsyncDisposable {
  readonly table: SeatTable;
  /** Between the table and its database. */
  readonly wire: TcpRelay;
}

type Changes = Partial<Omit<Parameters<typeof createSeatTable>[0], 'databaseUrl'>>;

/** A seat table that hears of its database over a wire; quick to notice, so that tests are. */
export async function wiredTable(
  db: Provisioned,
  create: typeof createSeatTable,
  changes: Changes = {},
): Promise<WiredTable> {
  const wire = await startTcpRelay(db.postgres.port);
  const url = new URL(db.postgres.databaseUrl);
  url.port = String(wire.port);
  const clock: Clock = systemClock;
  const table = create({
    databaseUrl: new Secret(url.href),
    clock,
    log: silentLogger,
    heartbeatMs: 100,
    staleAfterMs: 1_000,
    ...changes,
  });
  return {
    table,
    wire,
    async [Symbol.asyncDispose]() {
      await table.stop();
      await wire[Symbol.asyncDispose]();
    },
  };
}

/**
 * Looks at one pair at every turn of the event loop, which no change can slip past, and notes whenever the table says
 * something else than before.
 */
export function watchStanding(table: SeatTable, streamId: string, userId: string) {
  const seen: Standing[] = [];
  let watching = true;
  const look = () => {
    if (!watching) return;
    const standing = table.standing(streamId, userId);
    if (JSON.stringify(standing) !== JSON.stringify(seen.at(-1))) seen.push(standing);
    setImmediate(look);
  };
  look();
  return {
    seen,
    stop() {
      watching = false;
      return seen;
    },
  };
}

/**
 * Cuts or freezes the wire, writes a ban meanwhile, and mends it.
 * @returns what the table said of the banned user as current since the ban, in order: `ban` and nothing else, if it
 *   keeps its promise
 */
export async function banWhileAway(
  { table, wire }: WiredTable,
  db: Provisioned,
  pair: { readonly stream: string; readonly user: string },
  trouble: 'cut' | 'freeze',
): Promise<Array<'ban' | 'no ban'>> {
  const untilCurrent = async (current: boolean) => {
    const deadline = Date.now() + 20_000;
    while (table.standing(pair.stream, pair.user).current !== current) {
      if (Date.now() > deadline) throw new Error(`the table never became ${current ? '' : 'not '}current`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await untilCurrent(true);
  wire[trouble]();
  // the feed notices, and while it is away somebody is banned
  await untilCurrent(false);
  await db.pool.query("select revoke_seat($1, $2, 'while away')", [pair.stream, pair.user]);
  const watch = watchStanding(table, pair.stream, pair.user);
  if (trouble === 'cut') wire.mend();
  else wire.thaw();
  await untilCurrent(true);
  // long enough for a table that takes its time to say what it should have said before
  await new Promise((resolve) => setTimeout(resolve, 50));
  return watch
    .stop()
    .filter(({ current }) => current)
    .map(({ ban }) => (ban === null ? 'no ban' : 'ban'));
}
