/** $1 row limit. Seats whose time is over; each puts itself into the outbox. */
export const expireDueSeatsSql = `select count(*)::int as expired from public.expire_due_seats($1)`;

/** $1 ids to leave out, $2 row limit. */
export const pendingEjectionsSql = `select public.guard_pending_ejections($1::bigint[], $2) as answer`;

/** $1 ejection id, $2 error or null. */
export const completeEjectionSql = `select public.complete_ejection($1::bigint, $2)`;

/** $1 names of rooms. */
export const guardedRoomsSql = `select public.guard_rooms($1::text[]) as answer`;

/** $1 `[{stream_id, user_id}]`, or null for everybody. */
export const seatFactsSql = `select public.guard_seat_facts($1::jsonb) as answer`;

/** $1 `[{stream_id, user_id}]`. */
export const touchSeatsSql = `select public.touch_seats($1::jsonb)`;

/** $1 id of the guard, $2 its state. */
export const heartbeatSql = `select public.guard_heartbeat($1, $2::jsonb)`;

/** $1 id of the guard. */
export const farewellSql = `select public.guard_farewell($1)`;

/** Guards whose last heartbeat is not older than three of them (15 s), the freshest first. */
export const liveGuardsSql = `
  select id, state, extract(epoch from now() - seen_at)::float8 as age_s
    from public.guards
   where seen_at > now() - interval '15 seconds'
   order by seen_at desc`;
