/** Bulk intake. $1 json list of gifts */
export const growSql = `select public.send_gifts($1::jsonb) as taken`;

export const drainSql = `call public.drain_gift_ledger(8000, 'trollfix-probe')`;

/** $1 run id */
export const pendingSql = `select count(*)::int as pending from public.gift_pending where run_id = $1`;

/** The cached read, as the RPC does it. $1 scope */
export const readSql = `select public.get_leaderboard($1) as board`;

/** The same list computed from the ledger itself: what the cache must agree with. $1 run id */
export const recomputeSql = `
  select coalesce(jsonb_agg(jsonb_build_object('user_id', t.sender_id, 'total', t.total) order by t.total desc, t.sender_id), '[]') as top
  from (
    select l.sender_id, sum(l.amount)::bigint as total
    from public.gift_ledger l join public.gift_settlements s using (seq)
    where l.seq > (select r.first_seq from public.synthetic_runs r where r.run_id = $1)
      and l.run_id = $1 and s.status = 'settled'
    group by 1
    order by 2 desc, 1
    limit 100
  ) t`;
