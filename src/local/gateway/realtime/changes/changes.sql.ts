/** What postgres_changes asks the catalogue and the policies; functions in platform/realtime.sql.ts. */

export const snapshotSql = 'select pg_current_snapshot()::text as snapshot';

export const existingPublicationsSql =
  'select pubname as name from pg_publication where pubname = any($1::name[])';

export const checkSubscriptionSql =
  'select realtime.gateway_check_subscription($1, $2, $3, $4::jsonb, $5::text[]) as entities';

export const checkFilterSql = 'select realtime.gateway_check_filter($1::text[], $2, $3, $4, $5) as matches';

export const visibleRowsSql = 'select visible, failure from realtime.gateway_visible_rows($1, $2, $3::jsonb)';

/**
 * One table as it is now ($1 its oid), and which columns each of the roles $2 may select. Asked per batch of
 * changes, not cached: a revoke must hold for the next change.
 *
 * `visible_rows_definition` is the statement of gateway_visible_rows: from an array of
 * `[number, key, key…]` the numbers of the rows the current role sees. The scalar subquery cannot be turned
 * into a join, so every row is looked up by its key; as a join it scanned small tables whole, policy and all
 * (170 µs per group instead of 50).
 */
export const tableFactsSql = `
with pk as (
  select a.attname, a.attnum, format_type(a.atttypid, a.atttypmod) as type, k.position
  from pg_constraint c, unnest(c.conkey) with ordinality k(attnum, position), pg_attribute a
  where c.conrelid = $1::oid and c.contype = 'p' and a.attrelid = c.conrelid and a.attnum = k.attnum
)
select
  c.relrowsecurity as row_security,
  coalesce((select json_agg(attname order by position) from pk), '[]') as primary_key,
  (select json_agg(json_build_object(
      'name', a.attname, 'type', t.typname, 'base', coalesce(nullif(t.typbasetype, 0), t.oid)::int8,
      'element', case when t.typcategory = 'A' then coalesce(nullif(e.typbasetype, 0), e.oid)::int8 end,
      'delimiter', e.typdelim
    ) order by a.attnum)
    from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_type e on e.oid = t.typelem
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  (select json_object_agg(r.role, (
      select coalesce(json_agg(a.attname), '[]') from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        and has_column_privilege(r.role, c.oid, a.attnum, 'SELECT')))
    from unnest($2::text[]) r(role) where exists (select from pg_roles p where p.rolname = r.role)) as selectable,
  (select format(
      'select coalesce(array_agg((k.v ->> 0)::int), ''{}'') from jsonb_array_elements($1) k(v) '
      || 'where (select true from %I.%I t where %s)',
      n.nspname, c.relname,
      string_agg(format('t.%I = (k.v ->> %s)::%s', pk.attname, pk.position, pk.type), ' and ' order by pk.position))
    from pk) as visible_rows_definition
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = $1::oid`;
