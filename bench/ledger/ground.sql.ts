/** Ids follow from a kind and a number, so that clients that only count, as pgbench does, can name people too. */
const idOf = (kind: string, number: string): string => `md5('${kind}:' || ${number})::uuid`;

/** How many gifts of the people here go to receivers, and in which streams: enough that no wallet or list is hot. */
export const receivers = 1000;
export const streams = 10;

/**
 * People with coins, one sender in ten with too few for what they send, and streams that the first receivers hold.
 * Real people, not those of a run: only real gifts count in all three boards. $1 senders
 */
export const peopleSql = `
  with sender as (
    insert into public.profiles (id, username) select ${idOf('sender', 'i')}, 'sender ' || i from generate_series(0, $1 - 1) as i
  ), receiver as (
    insert into public.profiles (id, username) select ${idOf('receiver', 'i')}, 'receiver ' || i
    from generate_series(0, ${receivers - 1}) as i
  ), paid as (
    insert into public.wallet_deposits (id, user_id, amount, reason)
    select gen_random_uuid(), ${idOf('sender', 'i')}, case when i % 10 = 0 then 200 else 1000000000 end, 'bench'
    from generate_series(0, $1 - 1) as i
  )
  select`;

export const fundsSql = `
  with given as (select user_id, sum(amount) as amount from public.wallet_deposits group by 1),
  funded as (
    update public.wallets w set balance = g.amount from given g where g.user_id = w.user_id
  )
  insert into public.streams (id, owner_id, title)
  select ${idOf('stream', 'i')}, ${idOf('receiver', 'i')}, 'bench' from generate_series(0, ${streams - 1}) as i`;

/**
 * Takes in $1 gifts of random senders out of $2, each in the sender's stream, by the bulk intake and in lists of
 * at most 10,000.
 */
export const feedSql = `
  select public.send_gifts((
    select jsonb_agg(jsonb_build_object('gift_id', gen_random_uuid(), 'sender_id', ${idOf('sender', 'g.s')},
      'stream_id', ${idOf('stream', `g.s % ${streams}`)}, 'receiver_id', ${idOf('receiver', 'g.r')}, 'amount', 1 + g.i % 100))
    from (
      select i, floor(random() * $2)::int as s, floor(random() * ${receivers})::int as r from generate_series(1, $1::int) as i
    ) as g
  ))`;

export const batchSql = 'select claimed, settled, failed, busy from public.process_gift_ledger_batch($1)';

/** As pgbench and as a prepared statement: $1 number of the receiver. */
export const sendOneSql = (receiver: string): string => `
  select public.send_gift(gen_random_uuid(), ${idOf('stream', '1')}, ${idOf('receiver', receiver)}, 1)`;

/** What \`sendOneSql\` is compared with: one row of the same width, a primary key and a unique uuid. */
export const bareTableSql = `
  create table bench.bare (
    seq bigint generated always as identity primary key, gift_id uuid not null unique, sender_id uuid not null,
    receiver_id uuid not null, stream_id uuid not null, amount bigint not null,
    created_at timestamptz not null default clock_timestamp(), run_id text
  )`;
export const bareInsertSql = (receiver: string): string => `
  insert into bench.bare (gift_id, sender_id, receiver_id, stream_id, amount)
  values (gen_random_uuid(), ${idOf('sender', '1')}, ${idOf('receiver', receiver)}, ${idOf('stream', '1')}, 1)`;

/** The claims under which \`sendOneSql\` is called. */
export const senderIdSql = `select ${idOf('sender', '1')} as id`;

/** A list of $1 gifts for the bulk intake, made on the server and sent back by the client: $1 how many, $2 senders */
export const listSql = `
  select jsonb_agg(jsonb_build_object('sender_id', ${idOf('sender', 'g.s')}, 'stream_id', ${idOf('stream', `g.s % ${streams}`)},
    'receiver_id', ${idOf('receiver', 'g.r')}, 'amount', 1 + g.i % 100)) as gifts
  from (
    select i, floor(random() * $2)::int as s, floor(random() * ${receivers})::int as r from generate_series(1, $1::int) as i
  ) as g`;
