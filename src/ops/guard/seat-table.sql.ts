/**
 * What somebody may do on a stream, one row per pair: an open ban, a seat that is active. Times in milliseconds since
 * the epoch, null for never. Streams that have ended are left out: there would be ever more seats and bans of them.
 * @param bansWhere / seatsWhere which rows
 */
function standingsSql(bansWhere: string, seatsWhere: string): string {
  return `
  select coalesce(b.stream_id, s.stream_id)::text as stream_id, coalesce(b.user_id, s.user_id)::text as user_id,
         b.user_id is not null as banned, (extract(epoch from b.expires_at) * 1000)::float8 as ban_until_ms,
         s.user_id is not null as seated, s.can_publish,
         (extract(epoch from s.expires_at) * 1000)::float8 as seat_expires_ms
    from (select t.stream_id, t.user_id, t.expires_at
            from public.stream_bans t join public.streams st on st.id = t.stream_id and st.status <> 'ended'
           where t.lifted_at is null
             and (t.expires_at is null or t.expires_at > clock_timestamp()) ${bansWhere}) b
    full join (select t.stream_id, t.user_id, t.can_publish, t.expires_at
                 from public.stream_seats t join public.streams st on st.id = t.stream_id and st.status = 'live'
                where t.state = 'active'
                  and (t.expires_at is null or t.expires_at > clock_timestamp()) ${seatsWhere}) s
      on s.stream_id = b.stream_id and s.user_id = b.user_id`;
}

/** $1 row limit. */
export const allStandingsSql = `${standingsSql('', '')}
   limit $1`;

/** $1 stream ids, $2 user ids, pair by pair. A pair without a row has neither ban nor seat. */
export const someStandingsSql = standingsSql(
  'and (t.stream_id, t.user_id) in (select * from unnest($1::uuid[], $2::uuid[]))',
  'and (t.stream_id, t.user_id) in (select * from unnest($1::uuid[], $2::uuid[]))',
);

/**
 * $1 a channel this session listens on, $2 what to say there. The answer comes back over the queue that carries the
 * changes, behind all that was committed before: it proves that none of them is still on its way.
 */
export const heartbeatSql = `
  select pg_notify($1, $2), (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`;
