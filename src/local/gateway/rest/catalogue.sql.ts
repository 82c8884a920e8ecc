/**
 * What the schema cache is made of, as one JSON document per query. $1 is the list of exposed schemas.
 * Read from pg_catalog as the superuser: what a role may see or do is decided by PostgreSQL at the request.
 */

export const tablesSql = `
select n.nspname as schema, c.relname as name, c.oid::text as oid,
  coalesce((
    select json_agg(json_build_object(
      'name', a.attname,
      'type', format_type(a.atttypid, a.atttypmod),
      'isJson', t.typname in ('json', 'jsonb'),
      'isTsVector', t.typname = 'tsvector',
      'default', pg_get_expr(d.adbin, d.adrelid),
      'generated', a.attgenerated <> '' or a.attidentity = 'a'
    ) order by a.attnum)
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ), '[]') as columns,
  coalesce((
    select json_agg(a.attname order by k.position)
    from pg_index i
    cross join lateral unnest(i.indkey) with ordinality as k(attnum, position)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = c.oid and i.indisprimary
  ), '[]') as primary_key
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition`;

export const foreignKeysSql = `
select con.conname as name, con.conrelid::text as table_oid, con.confrelid::text as referenced_oid,
  (select json_agg(a.attname order by k.position)
   from unnest(con.conkey) with ordinality as k(attnum, position)
   join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.attnum) as columns,
  (select json_agg(a.attname order by k.position)
   from unnest(con.confkey) with ordinality as k(attnum, position)
   join pg_attribute a on a.attrelid = con.confrelid and a.attnum = k.attnum) as referenced_columns,
  exists (
    select from pg_index i
    where i.indrelid = con.conrelid and i.indisunique and i.indpred is null
      and i.indnkeyatts = cardinality(con.conkey)
      and (select array_agg(x order by x) from unnest(i.indkey::int2[]) x)
        = (select array_agg(x order by x) from unnest(con.conkey) x)
  ) as is_unique
from pg_constraint con
join pg_class c on c.oid = con.conrelid
join pg_class r on r.oid = con.confrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_namespace rn on rn.oid = r.relnamespace
where con.contype = 'f' and con.conparentid = 0
  and n.nspname = any ($1::text[]) and rn.nspname = any ($1::text[])`;

export const functionsSql = `
select n.nspname as schema, p.proname as name, p.provolatile as volatility, p.proretset as returns_set,
  (select json_agg(json_build_object('name', coalesce(x.name, ''), 'mode', x.mode, 'type', format_type(x.type, null)) order by x.position)
   from (
     select row_number() over () as position, names.name, coalesce(modes.mode, 'i') as mode, types.type
     from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as types(type, position)
     left join unnest(p.proargnames) with ordinality as names(name, position) using (position)
     left join unnest(p.proargmodes) with ordinality as modes(mode, position) using (position)
   ) x) as args,
  p.pronargdefaults as defaults,
  rt.oid = 'void'::regtype as returns_void,
  (rt.typtype = 'c' or coalesce(p.proargmodes::text[] && '{t,b,o}', false)) as returns_composite,
  nullif(rt.typrelid, 0)::text as return_relation,
  (select json_agg(json_build_object('name', a.attname, 'isJson', at.typname in ('json', 'jsonb'), 'isTsVector', at.typname = 'tsvector') order by a.attnum)
   from pg_attribute a join pg_type at on at.oid = a.atttypid
   where rt.typrelid <> 0 and a.attrelid = rt.typrelid and a.attnum > 0 and not a.attisdropped) as relation_columns
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type rt on rt.oid = p.prorettype
where p.prokind = 'f' and n.nspname = any ($1::text[])
  -- neither can be called over HTTP; nor does PostgREST offer them
  and rt.oid not in ('trigger'::regtype, 'event_trigger'::regtype)
order by p.oid`;

/** Names a cast may use; the quoted form is what goes into SQL. */
export const typesSql = `
select t.typname as name, quote_ident(n.nspname) || '.' || quote_ident(t.typname) as quoted
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where t.typtype in ('b', 'e', 'd', 'r', 'm') and (n.nspname = any ($1::text[]) or n.nspname in ('pg_catalog', 'extensions'))
  and t.typname !~ '^_'
-- the last of a name wins: the exposed schemas shadow the system's
order by n.nspname = any ($1::text[]), n.nspname`;

/** Settings of the roles requests can take, and of the login role itself. */
export const roleSettingsSql = `
select r.rolname as role, split_part(c, '=', 1) as name, substr(c, strpos(c, '=') + 1) as value
from pg_db_role_setting s
join pg_roles r on r.oid = s.setrole
cross join unnest(s.setconfig) c
where s.setdatabase = 0
  and (r.rolname = 'authenticator' or pg_has_role('authenticator', r.oid, 'member'))`;
