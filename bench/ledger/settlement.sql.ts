/**
 * The floor: tables as ours are, with what a round must at least write. Not ours themselves, or the floor would be
 * slowed by triggers and would settle the gifts.
 */
export const floorTablesSql = `
  drop table if exists bench.settlements, bench.pending, bench.wallets, bench.concerned;
  create table bench.settlements (like public.gift_settlements including all) with (fillfactor = 100);
  create table bench.pending (like public.gift_pending including all);
  create table bench.wallets (like public.wallets including all) with (fillfactor = 50);
  create table bench.concerned (user_id uuid);
  insert into bench.wallets select * from public.wallets;
  analyze bench.wallets`;

/** What the round about to be measured will touch, for the floor to touch as much. */
export const floorInputSql = `
  truncate bench.pending, bench.concerned;
  insert into bench.pending select * from public.gift_pending;
  insert into bench.concerned select sender_id from public.gift_pending union select receiver_id from public.gift_pending;
  analyze bench.pending, bench.concerned`;

/** The three statements of the floor, for one transaction. */
export const floorSql = [
  `insert into bench.settlements select q.seq, 'settled', null, 0, 1, clock_timestamp(), null from bench.pending q`,
  `delete from bench.pending where seq between (select min(seq) from bench.pending) and (select max(seq) from bench.pending)`,
  `update bench.wallets w set balance = w.balance + 1, version = w.version + 1
     from bench.concerned c where c.user_id = w.user_id`,
];

/**
 * The obvious way to settle: gift by gift, in order, each with its own locks, moves and scores. It keeps the same
 * totals and boards; the top lists it leaves alone, which is in its favour.
 */
export const loopFunctionSql = `
  create function bench.settle_one_by_one(p_limit int) returns int
  language plpgsql as $$
  declare
    v_gift record;
    v_balance bigint;
    v_done int := 0;
  begin
    for v_gift in select * from public.gift_pending order by seq limit p_limit for update skip locked loop
      perform 1 from public.wallets where user_id in (v_gift.sender_id, v_gift.receiver_id) order by user_id for no key update;
      select balance into v_balance from public.wallets where user_id = v_gift.sender_id;
      if v_balance >= v_gift.amount then
        update public.wallets set balance = balance - v_gift.amount, version = version + 1,
          gifted_total = gifted_total + v_gift.amount, gifted_count = gifted_count + 1 where user_id = v_gift.sender_id;
        update public.wallets set balance = balance + v_gift.amount, version = version + 1 where user_id = v_gift.receiver_id;
        insert into public.gift_settlements (seq, status, batch_id, settled_at) values (v_gift.seq, 'settled', 0, clock_timestamp());
        insert into public.leaderboard_days as l values
          ((v_gift.enqueued_at at time zone 'UTC')::date, v_gift.sender_id, v_gift.amount, 1)
          on conflict (day, user_id) do update set total = l.total + excluded.total, gifts = l.gifts + 1;
        insert into public.leaderboard_streams as l values (v_gift.stream_id, v_gift.sender_id, v_gift.amount, 1)
          on conflict (stream_id, user_id) do update set total = l.total + excluded.total, gifts = l.gifts + 1;
      else
        insert into public.gift_settlements (seq, status, reason, batch_id, settled_at)
          values (v_gift.seq, 'failed', 'insufficient_funds', 0, clock_timestamp());
      end if;
      delete from public.gift_pending where seq = v_gift.seq;
      v_done := v_done + 1;
    end loop;
    return v_done;
  end $$`;
