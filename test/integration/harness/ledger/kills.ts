import { pollUntil } from '../../../../src/kernel/deadline.ts';
import { postgresProcessesIn, sendSignal } from '../../../../src/local/process-identity.ts';
import type { TestPostgres } from '../postgres.ts';
import { Link, NoAnswer } from './link.ts';
import type { PlannedKill } from './workload.ts';

/** With load there is a round every few milliseconds; half a minute without one is a drainer that does not drain. */
const roundWithinMs = 30_000;
/** Crash recovery of a few megabytes takes under a second. */
const backWithinMs = 60_000;
const pollEveryMs = 5;

/**
 * Where a round is held, so that it is certain to be in the middle when it is killed: by a lock on the table that it
 * needs next. Intake needs neither.
 */
const holdSql: Record<Exclude<PlannedKill['at'], 'anywhere'>, string> = {
  wallets: 'lock table public.wallets in exclusive mode',
  leaderboard: 'lock table public.leaderboard_top in exclusive mode',
};

/** Rounds that wait for session $1; reversals lock the same tables and are not meant. */
const heldRoundSql = `
  select a.pid, a.query ~ '(drain_gift_ledger|process_gift_ledger_batch)' as settles
  from pg_stat_activity a where $1 = any (pg_blocking_pids(a.pid)) limit 1`;

/** Kills parts of a real PostgreSQL with SIGKILL and brings it back. */
export class Killer {
  readonly #postgres: TestPostgres;
  readonly #dataDir: string;

  private constructor(postgres: TestPostgres, dataDir: string) {
    this.#postgres = postgres;
    this.#dataDir = dataDir;
  }

  static async of(postgres: TestPostgres): Promise<Killer> {
    await using admin = new Link(postgres.adminUrl, { name: 'ledger killer' });
    const [row] = await admin.query<{ data_directory: string }>('show data_directory');
    if (row === undefined) throw new Error('the server does not say where its data is');
    return new Killer(postgres, row.data_directory);
  }

  /** Carries out a kill and waits until the server answers again. @throws when it does not, or no round comes by */
  async kill({ victim, at }: PlannedKill): Promise<void> {
    await using holder = new Link(this.#postgres.adminUrl, { name: 'ledger killer' });
    const pid = at === 'anywhere' ? null : await holdRound(holder, holdSql[at]);
    if (victim === 'server') await this.#killServer();
    else if (pid === null) throw new Error('a backend is killed in a round that is held');
    else await this.#killBackend(pid);
    await this.#back();
  }

  /** Postmaster and children at once, as a machine that loses power takes them; what is on disk stays. */
  async #killServer(): Promise<void> {
    for (const pid of postgresProcessesIn(this.#dataDir)) sendSignal(pid, 'SIGKILL');
    this.#postgres.service.kill('SIGKILL'); // where there is no /proc, the postmaster alone
    await this.#postgres.service.restart(AbortSignal.timeout(backWithinMs));
  }

  /** The postmaster then ends all others and starts anew with crash recovery. */
  async #killBackend(pid: number): Promise<void> {
    if (!postgresProcessesIn(this.#dataDir).includes(pid))
      throw new Error(`${pid} is no backend of this server`);
    sendSignal(pid, 'SIGKILL');
    await pollUntil(() => (postgresProcessesIn(this.#dataDir).includes(pid) ? undefined : true), {
      ...{ ms: backWithinMs, everyMs: pollEveryMs, what: `backend ${pid} is gone` },
    });
  }

  async #back(): Promise<void> {
    await using admin = new Link(this.#postgres.adminUrl, { name: 'ledger killer' });
    const answers = () =>
      admin.query('select 1').then(
        () => true,
        (error: unknown) => {
          if (error instanceof NoAnswer) return undefined;
          throw error;
        },
      );
    await pollUntil(answers, { ms: backWithinMs, everyMs: 20, what: 'the server is back' });
  }
}

/** Holds the next round where it needs the table. @returns the pid of its backend */
async function holdRound(holder: Link, lockSql: string): Promise<number> {
  const [self] = await holder.query<{ pid: number }>('select pg_backend_pid() as pid');
  return pollUntil(
    async () => {
      await holder.query('begin');
      await holder.query(lockSql);
      const held = await pollUntil(
        async () => (await holder.query<{ pid: number; settles: boolean }>(heldRoundSql, [self?.pid]))[0],
        { ms: roundWithinMs, everyMs: pollEveryMs, what: 'a round comes by' },
      );
      if (held.settles) return held.pid;
      await holder.query('rollback');
      return undefined;
    },
    { ms: roundWithinMs, everyMs: pollEveryMs, what: 'a round is held' },
  );
}
