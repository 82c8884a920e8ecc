/** $1 texts. Who is meant by each: by id, by username, or by username in other letters (`exact` false). */
export const findUsersSql = `
  select w.word, p.id, p.username, p.display_name, (p.id::text = lower(w.word)) as by_id, (p.username = w.word) as exact
    from unnest($1::text[]) as w(word)
    join public.profiles p on p.id::text = lower(w.word) or lower(p.username) = lower(w.word)
   order by w.word, p.username`;

/** $1 stream or null, $2 how a name begins, $3 row limit. Names that a mistyped one may have meant. */
export const namesNearSql = `
  select username from (
    (select p.username from public.stream_seats s join public.profiles p on p.id = s.user_id
      where s.stream_id = $1::uuid limit $3)
    union
    (select p.username from public.stream_bans b join public.profiles p on p.id = b.user_id
      where b.stream_id = $1::uuid limit $3)
    union
    (select m.user_name from public.chat_messages m where m.stream_id = $1::uuid order by m.created_at desc limit $3)
    union
    (select p.username from public.profiles p where starts_with(lower(p.username), lower($2)) limit $3)
  ) as names`;

/** $1 stream id as text. */
export const findStreamSql = `
  select id, title, status from public.streams where id::text = lower($1)`;

/** $1 what is there of a stream's id or title, $2 row limit. */
export const streamsNearSql = `
  select id::text as id, title from public.streams
   where starts_with(id::text, lower($1)) or lower(title) = lower($1)
   order by created_at desc limit $2`;

/** $1 stream id or null for all, $2 user ids or null for all, $3 row limit. A ban without a seat is a row too. */
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
         s.role, s.can_publish,
         case when s.state = 'active' and s.expires_at <= now() then 'expired' else s.state end as state,
         s.granted_at, s.granted_by, s.expires_at, s.revoked_at, s.revoked_by, s.reason,
         (b.user_id is not null) as banned, b.reason as ban_reason, b.expires_at as ban_until,
         n.last_seen_at,
         (select count(*)::int
            from public.seat_ejections e
           where e.stream_id = coalesce(s.stream_id, b.stream_id)
             and e.user_id = coalesce(s.user_id, b.user_id)
             and e.done_at is null) as pending_ejections
    from public.stream_seats s
    full join bans b on b.stream_id = s.stream_id and b.user_id = s.user_id
    left join public.profiles p on p.id = coalesce(s.user_id, b.user_id)
    left join public.seat_presence n
      on n.stream_id = coalesce(s.stream_id, b.stream_id) and n.user_id = coalesce(s.user_id, b.user_id)
   where ($1::uuid is null or coalesce(s.stream_id, b.stream_id) = $1::uuid)
     and ($2::uuid[] is null or coalesce(s.user_id, b.user_id) = any ($2::uuid[]))
   order by 1, coalesce(s.granted_at, b.created_at), 2
   limit $3`;

/** $1 seconds. Guards that were heard of within them, the latest first. */
export const guardsSeenSql = `
  select id, extract(epoch from clock_timestamp() - seen_at)::float8 as seen_s
    from public.guards where seen_at > clock_timestamp() - make_interval(secs => $1) order by seen_at desc`;

/** $1 stream, $2 user, $3 role, $4 can publish, $5 expires at or null, $6 actor, $7 reason. */
export const grantSeatSql = `
  select * from public.grant_seat($1::uuid, $2::uuid, $3, $4, $5::timestamptz, $6, $7)`;

/** $1 stream, $2 user, $3 until or null, $4 actor, $5 reason. */
export const extendSeatSql = `
  select * from public.extend_seat($1::uuid, $2::uuid, $3::timestamptz, $4, $5)`;

/** $1 stream, $2 user, $3 actor, $4 reason. */
export const downgradeSeatSql = `
  select public.downgrade_seat($1::uuid, $2::uuid, $3, $4) as downgraded`;

/** $1 [{stream_id, user_id, reason, until}], $2 actor. All of them in one commit. */
export const revokeSeatsSql = `
  select user_id, revocation from public.revoke_seats($1::jsonb, $2)`;

/** $1 stream, $2 user, $3 actor, $4 reason. */
export const restoreSeatSql = `
  select public.restore_seat($1::uuid, $2::uuid, $3, $4) as restored`;

/** $1 ejection ids, $2 for each its error or null. */
export const completeEjectionsSql = `
  select count(public.complete_ejection(e.id, e.error)) from unnest($1::bigint[], $2::text[]) as e(id, error)`;
