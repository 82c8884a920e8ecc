/** $1 id or username. An id wins over a username that looks like one. */
export const findUserSql = `
  select id, username, display_name
    from public.profiles
   where id::text = lower($1) or username = $1
   order by (id::text = lower($1)) desc
   limit 1`;

/** $1 stream id as text. */
export const findStreamSql = `
  select id, title, status, owner_id from public.streams where id::text = lower($1)`;

/** $1 stream id or null for all, $2 user id or null for all, $3 row limit. A ban without a seat is a row too. */
export const listSeatsSql = `
  with bans as (
    select distinct on (stream_id, user_id) stream_id, user_id, reason, expires_at, created_at, created_by
      from public.stream_bans
     where lifted_at is null and (expires_at is null or expires_at > now())
     order by stream_id, user_id, expires_at desc nulls first
  )
  select coalesce(s.stream_id, b.stream_id) as stream_id,
         coalesce(s.user_id, b.user_id)     as user_id,
         p.username, p.display_name,
         s.role, s.can_publish, s.state, s.granted_at, s.granted_by, s.expires_at,
         s.revoked_at, s.revoked_by, s.reason,
         (b.user_id is not null) as banned, b.reason as ban_reason, b.expires_at as ban_until,
         (select count(*)::int
            from public.seat_ejections e
           where e.stream_id = coalesce(s.stream_id, b.stream_id)
             and e.user_id = coalesce(s.user_id, b.user_id)
             and e.done_at is null) as pending_ejections
    from public.stream_seats s
    full join bans b on b.stream_id = s.stream_id and b.user_id = s.user_id
    left join public.profiles p on p.id = coalesce(s.user_id, b.user_id)
   where ($1::uuid is null or coalesce(s.stream_id, b.stream_id) = $1::uuid)
     and ($2::uuid is null or coalesce(s.user_id, b.user_id) = $2::uuid)
   order by 1, coalesce(s.granted_at, b.created_at), 2
   limit $3`;

/** $1 stream, $2 user, $3 role, $4 can publish, $5 expires at or null, $6 actor, $7 reason. */
export const grantSeatSql = `
  select * from public.grant_seat($1::uuid, $2::uuid, $3, $4, $5::timestamptz, $6, $7)`;

/** $1 stream, $2 user, $3 reason, $4 until or null, $5 actor. */
export const revokeSeatSql = `
  select public.revoke_seat($1::uuid, $2::uuid, $3, $4::timestamptz, $5) as revoked`;

/** $1 stream, $2 user, $3 actor, $4 reason. */
export const restoreSeatSql = `
  select public.restore_seat($1::uuid, $2::uuid, $3, $4) as restored`;

/** $1 ejection id, $2 error or null. */
export const completeEjectionSql = `select public.complete_ejection($1::bigint, $2)`;

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
