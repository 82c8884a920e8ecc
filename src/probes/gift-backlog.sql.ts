/**
 * Condition for rows of run $1 in ledger, settlements and queue. No index holds run_id: they are found by seq, which is
 * above where the ledger stood when the run began.
 */
export const ofRun = `seq > (select r.first_seq from public.synthetic_runs r where r.run_id = $1) and run_id = $1`;

/** Bulk intake. $1 json list of gifts */
export const sendGiftsSql = `select public.send_gifts($1::jsonb) as taken`;

/** $1 budget in ms, $2 who calls */
export const drainSql = `call public.drain_gift_ledger($1::int, $2::text)`;

/** $1 run id */
export const pendingSql = `select count(*)::int as pending from public.gift_pending where run_id = $1`;
