/** The ledger's tables as they are, and no sums: adding up is for the checks. $1 run id, or null for everything */
const ofRun = '($1::text is null or run_id = $1)';
const microseconds = (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint as ${column}`;

export const feeSql = 'select fee_bps from public.gift_settings';

export const giftsSql = `
  select seq, gift_id, sender_id, receiver_id, stream_id, amount, run_id,
    to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day
  from public.gift_ledger where ${ofRun} order by seq`;

export const settlementsSql = `
  select seq, status, reason, fee, ${microseconds('settled_at')} from public.gift_settlements where ${ofRun} order by seq`;

export const reversalsSql = `
  select seq, sender_id, receiver_id, amount, fee, ${microseconds('reversed_at')}
  from public.gift_reversals where ${ofRun} order by reversed_at, seq`;

export const pendingSql = `select seq from public.gift_pending where ${ofRun} order by seq`;

export const walletsSql = `select user_id, balance from public.wallets where ${ofRun} order by user_id`;

export const depositsSql = `select user_id, amount from public.wallet_deposits where ${ofRun}`;

const scopeOfRun = `($1::text is null or scope = 'run:' || $1)`;

export const boardsSql = `
  select scope, user_id, total, gifts from public.leaderboard where ${scopeOfRun}`;

export const topsSql = `
  select t.scope, e.user_id, e.total, e.gifts, e.rank
  from public.leaderboard_top t,
    jsonb_to_recordset(t.top) as e (user_id uuid, total bigint, gifts bigint, rank bigint)
  where ${scopeOfRun.replace('scope', 't.scope')}
  order by t.scope, e.rank`;
