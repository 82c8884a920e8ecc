/** $1 row limit. Seats whose time is over; each puts itself into the outbox. */
export const expireDueSeatsSql = `select count(*)::int as expired from public.expire_due_seats($1)`;

/** What is still to be ejected, with what its user may do by now. $1 ids to leave out, $2 row limit. */
export const pendingEjectionsSql = `
  select e.id::text as id, e.stream_id, e.user_id, e.room, e.cause, e.attempts,
         extract(epoch from e.created_at) * 1000 as created_at_ms,
         exists (select from public.stream_bans b
                  where b.stream_id = e.stream_id and b.user_id = e.user_id and b.lifted_at is null
                    and (b.expires_at is null or b.expires_at > now())) as banned,
         exists (select from public.stream_seats s
                  where s.stream_id = e.stream_id and s.user_id = e.user_id and s.state = 'active'
                    and s.can_publish and (s.expires_at is null or s.expires_at > now())) as may_publish
    from public.seat_ejections e
   where e.done_at is null and e.id <> all ($1::bigint[])
   order by e.id
   limit $2`;

/** Who is banned from a live stream now, by room. $1 row limit. */
export const activeBansSql = `
  select b.stream_id::text as room, b.user_id
    from public.stream_bans b
    join public.streams st on st.id = b.stream_id and st.status = 'live'
   where b.lifted_at is null and (b.expires_at is null or b.expires_at > now())
   order by b.created_at desc
   limit $1`;

/** The channel on which every change of seats and bans is told; a constant, since LISTEN takes no parameters. */
export const listenSeatChangesSql = 'listen seat_changes';
