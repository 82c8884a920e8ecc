/** Guards heard of within 15 s (three of their heartbeats), the freshest first, and what waits to be carried out. */
export const guardsSql = `
  select id, state, extract(epoch from clock_timestamp() - seen_at)::float8 as age_s
    from public.guards
   where seen_at > clock_timestamp() - interval '15 seconds'
   order by seen_at desc`;

/** Ejections that have waited for longer than carrying them out takes. */
export const stuckEjectionsSql = `
  select count(*)::int as stuck
    from public.seat_ejections
   where done_at is null and created_at < clock_timestamp() - interval '30 seconds'`;
