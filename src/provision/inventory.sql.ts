export const readSearchPathSql = "select current_setting('search_path') as path";
export const setSearchPathSql = "select set_config('search_path', $1, true)";

/**
 * Every object that a migration of ours can make, with a text that changes when the object does. Looks at `public` and
 * `trollfix`, at our policies on realtime.messages, our triggers on auth.users and the tables of the publication.
 * Function bodies are compared as written (prosrc); other definitions as the server prints them, which is stable
 * within a major version.
 */
export const inventorySql = `
with home as (
  select oid, nspname from pg_namespace where nspname in ('public', 'trollfix')
), relation as (
  select c.*, h.nspname, format('%I.%I', h.nspname, c.relname) as identity
  from pg_class c join home h on h.oid = c.relnamespace
  where not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
)
select 'table' as kind, r.identity,
  concat_ws(E'\\n', 'owner ' || pg_get_userbyid(r.relowner), 'row security ' || r.relrowsecurity,
    'options ' || coalesce(array_to_string(r.reloptions, ','), ''),
    (select string_agg(format('%I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
        case when a.attnotnull then ' not null' else '' end,
        coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')), E'\\n' order by a.attnum)
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped)) as definition
from relation r where r.relkind in ('r', 'p')
union all
select 'grants', r.identity, concat_ws(E'\\n',
  (select string_agg(x::text, E'\\n' order by x::text) from unnest(coalesce(r.relacl, '{}')) x),
  (select string_agg(format('%I: %s', a.attname, a.attacl::text), E'\\n' order by a.attname)
    from pg_attribute a where a.attrelid = r.oid and a.attacl is not null))
from relation r where r.relkind in ('r', 'p', 'v', 'S')
union all
select 'view', r.identity, concat_ws(E'\\n', array_to_string(r.reloptions, ','), pg_get_viewdef(r.oid))
from relation r where r.relkind = 'v'
union all
select 'index', format('%I.%I', h.nspname, i.relname), pg_get_indexdef(x.indexrelid) || case when x.indisvalid then '' else ' invalid' end
from pg_index x join pg_class i on i.oid = x.indexrelid join relation h on h.oid = x.indrelid
where h.relkind in ('r', 'p')
union all
select 'constraint', format('%s on %s', c.conname, r.identity), pg_get_constraintdef(c.oid) || case when c.convalidated then '' else ' not valid' end
from pg_constraint c join relation r on r.oid = c.conrelid
where c.contype in ('c', 'f', 'u', 'p')
union all
select 'trigger', format('%s on %I.%I', t.tgname, n.nspname, c.relname), pg_get_triggerdef(t.oid) || ' enabled ' || t.tgenabled::text
from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and (p.pronamespace in (select oid from home) or c.relnamespace in (select oid from home))
union all
select case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
  format('%I.%I(%s)', h.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
  concat_ws(E'\\n', 'returns ' || pg_get_function_result(p.oid), 'arguments ' || pg_get_function_arguments(p.oid),
    'language ' || l.lanname, case when p.prosecdef then 'security definer' end, 'owner ' || pg_get_userbyid(p.proowner),
    'volatility ' || p.provolatile::text, array_to_string(p.proconfig, ','),
    'grants ' || coalesce((select string_agg(x::text, ',' order by x::text) from unnest(p.proacl) x), 'default'), p.prosrc)
from pg_proc p join home h on h.oid = p.pronamespace join pg_language l on l.oid = p.prolang
where not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
union all
select 'policy', format('%s on %I.%I', p.policyname, p.schemaname, p.tablename),
  concat_ws(E'\\n', p.permissive, p.cmd, array_to_string(p.roles, ','), 'using ' || p.qual, 'check ' || p.with_check)
from pg_policies p
where p.schemaname in ('public', 'trollfix') or (p.schemaname = 'realtime' and p.policyname like 'trollfix\\_%')
union all
select 'published table', format('%I.%I', p.schemaname, p.tablename), 'in supabase_realtime'
from pg_publication_tables p where p.pubname = 'supabase_realtime' and p.schemaname = 'public'
union all
select 'schema grants', h.nspname, coalesce((select string_agg(x::text, E'\\n' order by x::text) from unnest(n.nspacl) x), 'default')
from home h join pg_namespace n on n.oid = h.oid where h.nspname = 'trollfix'
`;

/** The settlement schedule as it should be; the job table is asked for separately, as it may not exist. */
export const expectedScheduleSql = 'select trollfix.settlement_schedule() as schedule';

export const cronInstalledSql = `select to_regclass('cron.job') is not null as installed`;

export const cronJobsSql = `
select jobid::text, jobname, schedule, command, active, username, database, current_user::text as me,
  current_database()::text as here
from cron.job where jobname = $1 or command ilike '%gift_ledger%' order by jobid`;
