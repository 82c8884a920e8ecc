-- Leaderboards of senders. Scopes: `all`, `d:<UTC date the gift was sent>`, `s:<stream id>`; gifts of a synthetic stream
-- count only in `run:<run id>`. A new day is a new scope: nothing is reset at midnight.
--
-- leaderboard_top is what people read: one row by primary key, whatever the size of the ledger. Totals per day and
-- stream have a table each, keyed by what they are (a text key for both is four times as wide and costs in every
-- round); `all` and `run:` totals stand in the wallets. No index on totals: with one, every update of a score is
-- non-HOT (282 instead of 103 ms of a round, ledger.md §2); the top is merged instead, which is exact as long as
-- totals never fall.

create table public.leaderboard_days (
  day date not null,
  user_id uuid not null,
  total bigint not null,
  gifts bigint not null,
  primary key (day, user_id)
) with (fillfactor = 70);

create table public.leaderboard_streams (
  stream_id uuid not null,
  user_id uuid not null,
  total bigint not null,
  gifts bigint not null,
  primary key (stream_id, user_id)
) with (fillfactor = 70);

-- last_total: what a total must reach to get into the list; 0 while there is room.
create table public.leaderboard_top (
  scope text collate "C" primary key,
  top jsonb not null,
  last_total bigint not null,
  updated_at timestamptz not null
) with (fillfactor = 50);

revoke all on public.leaderboard_days, public.leaderboard_streams, public.leaderboard_top
  from public, anon, authenticated, service_role;
alter table public.leaderboard_days enable row level security;
alter table public.leaderboard_streams enable row level security;
alter table public.leaderboard_top enable row level security;
grant select on public.leaderboard_top to anon, authenticated, service_role;
create policy leaderboard_top_read on public.leaderboard_top for select to anon, authenticated using (true);
grant select on public.leaderboard_days, public.leaderboard_streams to service_role;

create view public.leaderboard with (security_invoker = true) as
select 'd:' || to_char(d.day, 'YYYY-MM-DD') as scope, d.user_id, d.total, d.gifts from public.leaderboard_days d
union all
select 's:' || s.stream_id, s.user_id, s.total, s.gifts from public.leaderboard_streams s
union all
select case when w.run_id is null then 'all' else 'run:' || w.run_id end, w.user_id, w.gifted_total, w.gifted_count
from public.wallets w where w.gifted_count > 0;
revoke all on public.leaderboard from public, anon, authenticated, service_role;
grant select on public.leaderboard to service_role;

-- Merges new totals, those that reach a list's last_total, into the cached top lists of 100.
-- Called under the settlement lock: two merges at the same time would each start from a list without the other's.
create function trollfix.merge_top(p_scopes text[], p_users uuid[], p_totals bigint[], p_gifts bigint[]) returns void
language plpgsql set search_path = '' set plan_cache_mode = 'force_custom_plan' set jit = 'off'
as $$
begin
  with fresh as materialized (
    select f.scope, f.user_id, f.total, f.gifts
    from unnest(p_scopes, p_users, p_totals, p_gifts) as f (scope, user_id, total, gifts)
  ), listed as materialized (
    select t.scope, e.user_id, e.total, e.gifts
    from (select distinct scope from fresh) d join public.leaderboard_top t using (scope),
      jsonb_to_recordset(t.top) as e (user_id uuid, total bigint, gifts bigint)
  ), candidates as (
    select f.scope, f.user_id, f.total, f.gifts from fresh f
    union all
    select l.scope, l.user_id, l.total, l.gifts from listed l
    where not exists (select from fresh f where f.scope = l.scope and f.user_id = l.user_id)
  ), ranked as (
    select c.*, row_number() over (partition by c.scope order by c.total desc, c.user_id) as rank from candidates c
  )
  insert into public.leaderboard_top as l (scope, top, last_total, updated_at)
  select r.scope,
    jsonb_agg((
      -- a subquery, so that 100 profiles are looked up by key: a join here reads all profiles (29 of 38 ms, measured)
      select jsonb_build_object('rank', r.rank, 'user_id', r.user_id, 'username', p.username,
        'display_name', p.display_name, 'avatar_url', p.avatar_url, 'total', r.total, 'gifts', r.gifts)
      from (values (1)) as one left join public.profiles p on p.id = r.user_id
    ) order by r.rank),
    case when count(*) = 100 then min(r.total) else 0 end, clock_timestamp()
  from ranked r
  where r.rank <= 100
  group by r.scope
  order by r.scope
  on conflict (scope) do update set top = excluded.top, last_total = excluded.last_total, updated_at = excluded.updated_at;
end
$$;
revoke all on function trollfix.merge_top(text[], uuid[], bigint[], bigint[]) from public;

-- {scope, updated_at, top: [{rank, user_id, username, display_name, avatar_url, total, gifts}]}; an empty list for a
-- scope without gifts.
create function public.get_leaderboard(p_scope text default 'all') returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('scope', p_scope, 'updated_at', max(t.updated_at), 'top', coalesce((array_agg(t.top))[1], '[]'))
  from public.leaderboard_top t where t.scope = p_scope
$$;
revoke all on function public.get_leaderboard(text) from public, anon, authenticated, service_role;
grant execute on function public.get_leaderboard(text) to anon, authenticated, service_role;
