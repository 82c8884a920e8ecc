import { z } from 'zod';
import { TrollfixError } from '../kernel/errors.ts';
import { SupabaseRest } from '../target/supabase/rest.ts';
import {
  deleteUsers,
  mintUserToken,
  type SyntheticUser,
  signUpUsers,
} from '../target/supabase/synthetic-users.ts';
import { createRunSql } from './fixture.sql.ts';
import type { ProbeContext } from './probe.ts';

/** The synthetic users and streams a probe works with. They carry the run's id; whoever made the run purges them. */
export interface Fixture {
  readonly users: readonly SyntheticUser[];
  readonly streamIds: readonly string[];
  /** Removes users that had to be signed up; the rows of the run are purged by whoever made it. */
  release(): Promise<void>;
}

export interface FixtureOptions {
  readonly users: number;
  readonly streams: number;
  /** Coins in each wallet. */
  readonly balance: number;
  /** False when nobody acts as these users: their tokens are then empty. True by default. */
  readonly signIn?: boolean;
}

const runSchema = z.object({
  users: z.array(z.object({ id: z.string(), username: z.string() })),
  streams: z.array(z.object({ id: z.string() })),
});

/** Longer than any run, so that no token ends in the middle of one; short enough to be worthless soon after. */
const tokenLifeS = 6 * 3600;

/**
 * Makes a synthetic run in the database and a JWT for each of its users: minted when the target's secret is known,
 * else through GoTrue's admin API.
 * @throws TF-CFG-005 when the target has neither a database URL nor a service-role key, or no way to tokens
 */
export async function createFixture(ctx: ProbeContext, options: FixtureOptions): Promise<Fixture> {
  const run = runSchema.parse(await createRun(ctx, options));
  const streamIds = run.streams.map((stream) => stream.id);
  const release = async () => {};
  const secret = ctx.target.jwtSecret?.reveal();
  if (options.signIn === false) {
    return { users: run.users.map((user) => ({ ...user, token: '' })), streamIds, release };
  }
  if (secret !== undefined) return { users: mintTokens(ctx, run.users, secret), streamIds, release };
  const users = await withService(ctx, (service) => signUpUsers(service, run.users, ctx.runId, ctx.signal));
  return {
    users,
    streamIds,
    release: async () => {
      const left = await withService(ctx, (service) => deleteUsers(service, users));
      if (left > 0)
        ctx.log.warn(`${left} of ${users.length} users signed up for ${ctx.runId} were not removed`);
    },
  };
}

async function createRun(ctx: ProbeContext, { users, streams, balance }: FixtureOptions): Promise<unknown> {
  const seed = ctx.random.fork('fixture').int(0x7fff_ffff);
  if (ctx.database) {
    const { rows } = await ctx.database.query<{ run: unknown }>(createRunSql, [
      ctx.runId,
      users,
      streams,
      balance,
      seed,
    ]);
    return rows[0]?.run;
  }
  return withService(ctx, (service) =>
    service.rpc('create_synthetic_run', {
      p_run_id: ctx.runId,
      p_users: users,
      p_streams: streams,
      p_balance: balance,
      p_seed: seed,
    }),
  );
}

function mintTokens(
  ctx: ProbeContext,
  users: ReadonlyArray<{ id: string; username: string }>,
  secret: string,
): SyntheticUser[] {
  const nowS = Math.floor(ctx.clock.now() / 1000);
  return users.map((user) => ({ ...user, token: mintUserToken(secret, user.id, nowS, nowS + tokenLifeS) }));
}

async function withService<T>(ctx: ProbeContext, work: (service: SupabaseRest) => Promise<T>): Promise<T> {
  const key = ctx.target.serviceRoleKey;
  if (key === undefined) {
    throw new TrollfixError('TF-CFG-005', `target ${ctx.target.name} has no service-role key`, {
      why: 'synthetic users are made with it when there is no database URL or JWT secret',
      hint: 'Set TROLLFIX_SERVICE_ROLE_KEY, or databaseUrl and jwtSecret of the target.',
    });
  }
  const service = new SupabaseRest({ supabaseUrl: ctx.target.supabaseUrl, apiKey: key.reveal() });
  try {
    return await work(service);
  } finally {
    await service.close();
  }
}
