import { z } from 'zod';
import { TrollfixError } from '../kernel/errors.ts';
import { SupabaseRest } from '../target/supabase/rest.ts';
import { mintUserToken, type SyntheticUser, signUpUsers } from '../target/supabase/synthetic-users.ts';
import { createRunSql } from './fixture.sql.ts';
import type { ProbeContext } from './probe.ts';

/** The synthetic users and streams a probe works with. They carry the run's id; whoever made the run purges them. */
export interface Fixture {
  readonly users: readonly SyntheticUser[];
  readonly streamIds: readonly string[];
}

export interface FixtureOptions {
  readonly users: number;
  readonly streams: number;
  /** Coins in each wallet. */
  readonly balance: number;
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
  const tokens = await tokensFor(ctx, run.users);
  return { users: tokens, streamIds: run.streams.map((stream) => stream.id) };
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

async function tokensFor(
  ctx: ProbeContext,
  users: ReadonlyArray<{ id: string; username: string }>,
): Promise<SyntheticUser[]> {
  const secret = ctx.target.jwtSecret?.reveal();
  if (secret === undefined) {
    return withService(ctx, (service) => signUpUsers(service, users, ctx.runId, ctx.signal));
  }
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
