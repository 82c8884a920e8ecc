import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Provisioned, refusal } from './provisioned.ts';

/** Who may do what, as data: anything that is not here must be refused. */
const tableRights: Record<string, Record<string, string[]>> = {
  anon: {
    chat_messages: ['SELECT'],
    gift_catalog: ['SELECT'],
    leaderboard_top: ['SELECT'],
    profiles: ['SELECT'],
    stream_seats: ['SELECT'],
    streams: ['SELECT'],
  },
  authenticated: {
    chat_messages: ['SELECT'],
    gift_catalog: ['SELECT'],
    leaderboard_top: ['SELECT'],
    profiles: ['SELECT'],
    seat_events: ['SELECT'],
    stream_bans: ['SELECT'],
    stream_seats: ['SELECT'],
    streams: ['SELECT'],
    wallets: ['SELECT'],
  },
  service_role: {
    chat_messages: ['DELETE', 'SELECT'],
    chat_throttle: [],
    gift_batch_logs: ['SELECT'],
    gift_catalog: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
    gift_health: ['SELECT'],
    gift_ledger: ['SELECT'],
    gift_pending: ['SELECT'],
    gift_reversals: ['SELECT'],
    gift_settings: ['SELECT'],
    gift_settlements: ['SELECT'],
    gifts: ['SELECT'],
    guards: ['SELECT'],
    leaderboard: ['SELECT'],
    leaderboard_days: ['SELECT'],
    leaderboard_streams: ['SELECT'],
    leaderboard_top: ['SELECT'],
    ledger_entries: ['SELECT'],
    profiles: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
    seat_ejections: ['SELECT'],
    seat_events: ['SELECT'],
    seat_presence: ['SELECT'],
    stream_bans: ['SELECT'],
    stream_seats: ['SELECT'],
    streams: ['DELETE', 'INSERT', 'SELECT', 'UPDATE'],
    synthetic_runs: ['SELECT'],
    wallet_deposits: ['SELECT'],
    wallets: ['SELECT'],
  },
};
const columnRights: Record<string, Record<string, string[]>> = {
  anon: {},
  authenticated: {
    'profiles UPDATE': ['avatar_url', 'display_name', 'username'],
    'streams INSERT': ['hls_url', 'id', 'owner_id', 'title'],
    'streams UPDATE': ['hls_url', 'status', 'title'],
  },
};
const functionRights: Record<string, string[]> = {
  anon: ['get_leaderboard'],
  authenticated: ['get_leaderboard', 'my_stream_seat', 'send_chat_message', 'send_gift'],
  service_role: [
    ...[
      'complete_ejection',
      'create_synthetic_run',
      'deposit_coins',
      'downgrade_seat',
      'expire_due_seats',
      'extend_seat',
      'get_leaderboard',
      'grant_seat',
    ],
    ...['guard_farewell', 'guard_heartbeat', 'guard_pending_ejections', 'guard_rooms', 'guard_seat_facts'],
    ...[
      'livekit_token_context',
      'process_gift_ledger_batch',
      'purge_run',
      'restore_seat',
      'reverse_gift',
      'revoke_seat',
      'revoke_seats',
      'send_gifts',
      'touch_seats',
    ],
  ],
};

let db: Provisioned;
beforeAll(async () => {
  db = await Provisioned.start();
});
afterAll(async () => db?.[Symbol.asyncDispose]());

describe('rights', () => {
  for (const role of ['anon', 'authenticated', 'service_role']) {
    it(`of ${role} on tables are exactly those on the list`, async () => {
      const { rows } = await db.pool.query(
        `select c.relname as name, array_remove(array[
            case when has_table_privilege($1, c.oid, 'delete') then 'DELETE' end,
            case when has_table_privilege($1, c.oid, 'insert') then 'INSERT' end,
            case when has_table_privilege($1, c.oid, 'select') then 'SELECT' end,
            case when has_table_privilege($1, c.oid, 'truncate') then 'TRUNCATE' end,
            case when has_table_privilege($1, c.oid, 'trigger') then 'TRIGGER' end,
            case when has_table_privilege($1, c.oid, 'references') then 'REFERENCES' end,
            case when has_table_privilege($1, c.oid, 'update') then 'UPDATE' end], null) as rights
         from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')`,
        [role],
      );
      const expected = tableRights[role] ?? {};
      for (const { name, rights } of rows) expect(rights, `${role} on ${name}`).toEqual(expected[name] ?? []);
      for (const name of Object.keys(expected)) expect(rows.map((row) => row.name)).toContain(name);
    });

    it(`of ${role} on functions are exactly those on the list`, async () => {
      const { rows } = await db.pool.query(
        `select p.proname as name from pg_proc p
         where p.pronamespace = 'public'::regnamespace and has_function_privilege($1, p.oid, 'execute') order by 1`,
        [role],
      );
      expect(rows.map(({ name }) => name)).toEqual(functionRights[role]);
      const usage = 'select has_schema_privilege($1, s, $2) from unnest($3::text[]) s';
      const { rows: schemas } = await db.pool.query({
        text: usage,
        values: [role, 'usage', ['trollfix', 'trollfix_provision']],
        rowMode: 'array',
      });
      expect(schemas).toEqual([[false], [false]]);
    });
  }

  it('to single columns are exactly those on the list', async () => {
    for (const role of ['anon', 'authenticated']) {
      const { rows } = await db.pool.query(
        `select table_name || ' ' || privilege_type as what, array_agg(column_name::text order by column_name) as columns
         from information_schema.column_privileges
         where grantee = $1 and table_schema = 'public' and privilege_type <> 'SELECT' group by 1`,
        [role],
      );
      expect(Object.fromEntries(rows.map(({ what, columns }) => [what, columns]))).toEqual(
        columnRights[role],
      );
    }
  });

  it('to sequences are nobody’s', async () => {
    const { rows } = await db.pool.query(
      `select c.relname from pg_class c, unnest(array['anon', 'authenticated', 'service_role']) r
       where c.relnamespace = 'public'::regnamespace and c.relkind = 'S' and has_sequence_privilege(r, c.oid, 'usage, select, update')`,
    );
    expect(rows).toEqual([]);
  });

  it('stand behind row level security on every table', async () => {
    const { rows } = await db.pool.query(
      `select relnamespace::regnamespace || '.' || relname as name from pg_class
       where relkind in ('r', 'p') and not relrowsecurity
         and relnamespace in ('public'::regnamespace, 'trollfix'::regnamespace, 'trollfix_provision'::regnamespace)`,
    );
    expect(rows).toEqual([]);
  });

  it('and every security definer function pins its search_path', async () => {
    const { rows } = await db.pool.query(
      `select p.oid::regprocedure::text as name from pg_proc p
       where p.pronamespace in ('public'::regnamespace, 'trollfix'::regnamespace) and p.prosecdef
         and not coalesce(p.proconfig, '{}') @> array['search_path=""']`,
    );
    expect(rows).toEqual([]);
  });
});

describe('rows', () => {
  it('of wallets, bans and events are shown to those they concern', async () => {
    const { users, streams } = await db.run('rows', 4, { balance: 5 });
    const [owner, alice, bob] = users as [string, string, string];
    const [stream] = streams as [string];
    await db.pool.query("select revoke_seat($1, $2, 'spam')", [stream, alice]);
    expect(await db.as('authenticated', alice, 'select user_id from wallets')).toEqual([{ user_id: alice }]);
    expect(await refusal(db.as('anon', null, 'select * from wallets'))).toBe('42501');
    const bansOf = async (who: string) =>
      (await db.as('authenticated', who, 'select user_id from stream_bans')).length;
    expect([await bansOf(alice), await bansOf(bob), await bansOf(owner)]).toEqual([1, 0, 1]);
    expect(await db.as('authenticated', bob, 'select * from seat_events')).toEqual([]);
    expect(await db.as('authenticated', owner, 'select action from seat_events')).toEqual([
      { action: 'banned' },
    ]);
    await db.pool.query('update profiles set is_moderator = true where id = $1', [bob]);
    expect(await bansOf(bob)).toBe(1);
  });

  it('of profiles and streams can be written by their owner only, and not their rank or run', async () => {
    const { users } = await db.realPeople(2, 1);
    const [ada, eve] = users as [string, string];
    const update = 'update profiles set display_name = $2 where id = $1 returning id';
    expect(await db.as('authenticated', ada, update, [ada, 'Ada'])).toHaveLength(1);
    expect(await db.as('authenticated', eve, update, [ada, 'Eve'])).toHaveLength(0);
    expect(
      await refusal(
        db.as('authenticated', eve, 'update profiles set is_moderator = true where id = $1', [eve]),
      ),
    ).toBe('42501');
    const insert = "insert into streams (owner_id, title) values ($1, 't') returning id, status, run_id";
    expect(await db.as('authenticated', ada, insert, [ada])).toEqual([
      { id: expect.any(String), status: 'live', run_id: null },
    ]);
    expect(await refusal(db.as('authenticated', eve, insert, [ada]))).toBe('42501');
    expect(
      await refusal(
        db.as('authenticated', eve, "insert into streams (owner_id, run_id) values ($1, 'x')", [eve]),
      ),
    ).toBe('42501');
    expect(await refusal(db.pool.query("update streams set run_id = 'x' where owner_id = $1", [ada]))).toBe(
      '23001',
    );
    expect(await refusal(db.pool.query("update profiles set run_id = 'x' where id = $1", [ada]))).toBe(
      '23001',
    );
  });

  it('of private channels open to whoever is not banned there', async () => {
    const { users, streams } = await db.run('channels', 2);
    const [alice, bob] = users as [string, string];
    const [stream] = streams as [string];
    await db.pool.query("select revoke_seat($1, $2, 'spam')", [stream, bob]);
    const write = async (who: string, topic: string) => {
      const values = [topic, 'broadcast'];
      return refusal(
        db.as(
          'authenticated',
          who,
          "with t as (select set_config('realtime.topic', $1, true)) insert into realtime.messages (topic, extension) select set_config, $2 from t",
          values,
        ),
      );
    };
    expect(await write(alice, `chat:${stream}`)).toBeUndefined();
    expect(await write(bob, `chat:${stream}`)).toBe('42501');
    expect(await write(bob, `stream:${stream}`)).toBe('42501');
    expect(await write(alice, 'anything')).toBe('42501');
  });

  it('of a new sign-up are made by a trigger: profile, wallet, and a run only the service role can set', async () => {
    const signUp = (app: object, user: object) =>
      db.one<string>(
        'insert into auth.users (id, raw_app_meta_data, raw_user_meta_data) values (gen_random_uuid(), $1, $2) returning id',
        [app, user],
      );
    const first = await signUp({}, { username: 'ada', display_name: 'Ada', run_id: 'mine' });
    const second = await signUp({ run_id: 'r9' }, { username: 'ada' });
    const { rows } = await db.pool.query(
      'select p.id, p.username, p.display_name, p.run_id, w.balance, w.run_id as wallet_run from profiles p join wallets w on w.user_id = p.id where p.id = any($1) order by p.run_id nulls first',
      [[first, second]],
    );
    expect(rows).toEqual([
      { id: first, username: 'ada', display_name: 'Ada', run_id: null, balance: '0', wallet_run: null },
      {
        id: second,
        username: `user-${second}`,
        display_name: null,
        run_id: 'r9',
        balance: '0',
        wallet_run: 'r9',
      },
    ]);
  });
});
