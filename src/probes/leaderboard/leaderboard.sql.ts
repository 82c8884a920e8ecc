import { ofRun } from '../gift-backlog.sql.ts';

/** The cached read, as the RPC does it. $1 scope */
export const readSql = `select public.get_leaderboard($1) as board`;

/** The same list computed from the ledger itself: what the cache must agree with. $1 run id */
export const recomputeSql = `
  select coalesce(jsonb_agg(jsonb_build_object('user_id', t.sender_id, 'total', t.total) order by t.total desc, t.sender_id), '[]') as top
  from (
    select l.sender_id, sum(l.amount)::bigint as total
    from (select * from public.gift_ledger where ${ofRun}) l join public.gift_settlements s using (seq)
    where s.status = 'settled'
    group by 1
    order by 2 desc, 1
    limit 100
  ) t`;
