/**
 * Schema `realtime` as hosted Supabase gives it to every project: the messages table that row security
 * policies for private channels stand on, `topic()`, `send()`, `send_binary()`, `broadcast_changes()`, and
 * their publication. Texts of the functions follow supabase/realtime's tenant migrations (August 2026).
 *
 * Idempotent; run as `supabase_admin` after the roles exist.
 *
 * Differences from hosted, on purpose:
 * - `realtime.messages` is one table instead of daily partitions; the gateway deletes what is older than
 *   72 h, which is what dropping partitions does there.
 * - `postgres` is a member of `supabase_realtime_admin` (hosted lets it write policies through the
 *   `supautils` extension): PostgreSQL lets only the owner's role create policies.
 * - functions `gateway_*` are this gateway's own; nobody but the superuser may call them.
 */

const schemaSql = `
do $$
begin
  if not exists (select from pg_roles where rolname = 'supabase_realtime_admin') then
    create role supabase_realtime_admin with noinherit nologin noreplication;
  end if;
end $$;
grant supabase_realtime_admin to postgres;

create schema if not exists realtime;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant all on schema realtime to supabase_realtime_admin;

create table if not exists realtime.messages (
  topic text not null,
  extension text not null,
  payload jsonb,
  event text,
  private boolean default false,
  updated_at timestamp without time zone not null default now(),
  inserted_at timestamp without time zone not null default now(),
  id uuid not null default gen_random_uuid(),
  binary_payload bytea,
  primary key (id, inserted_at)
);
alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;
create index if not exists messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
  where extension = 'broadcast' and private is true;

create or replace function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')::text;
$$;
alter function realtime.topic() owner to supabase_realtime_admin;
`;

const sendSql = `
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true)
returns void language plpgsql as $$
declare
  generated_id uuid;
  final_payload jsonb;
begin
  begin
    generated_id := gen_random_uuid();
    if payload ? 'id' then
      final_payload := payload;
    else
      final_payload := jsonb_set(payload, '{id}', to_jsonb(generated_id));
    end if;
    execute format('set local realtime.topic to %L', topic);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (generated_id, final_payload, event, topic, private, 'broadcast');
  exception when others then
    -- as hosted: a broadcast that cannot be stored must never fail the caller's transaction
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end $$;
alter function realtime.send(jsonb, text, text, boolean) owner to supabase_realtime_admin;

create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true)
returns void language plpgsql as $$
declare
  generated_id uuid;
begin
  begin
    generated_id := gen_random_uuid();
    execute format('set local realtime.topic to %L', topic);
    insert into realtime.messages (id, binary_payload, event, topic, private, extension)
    values (generated_id, payload, event, topic, private, 'broadcast');
  exception when others then
    raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
  end;
end $$;
alter function realtime.send_binary(bytea, text, text, boolean) owner to supabase_realtime_admin;

create or replace function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void language plpgsql as $$
declare
  row_data jsonb := '{}'::jsonb;
begin
  if level = 'STATEMENT' then
    raise exception 'function can only be triggered for each row, not for each statement';
  end if;
  if operation = 'INSERT' or operation = 'UPDATE' or operation = 'DELETE' then
    row_data := jsonb_build_object(
      'old_record', old, 'record', new, 'operation', operation, 'table', table_name, 'schema', table_schema);
    perform realtime.send(row_data, event_name, topic_name);
  else
    raise exception 'Unexpected operation type: %', operation;
  end if;
exception when others then
  raise exception 'Failed to process the row: %', sqlerrm;
end $$;
alter function realtime.broadcast_changes(text, text, text, text, text, record, record, text)
  owner to supabase_realtime_admin;
`;

const publicationSql = `
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime_messages_publication') then
    create publication supabase_realtime_messages_publication for table realtime.messages
      with (publish = 'insert');
  end if;
end $$;
`;

/*
 * One round trip per policy check. The probe rows and the role switch are undone by raising out of the
 * inner block, which carries the answer in its message: nothing of a check is ever committed.
 */
const policySql = `
create or replace function realtime.gateway_assume(p_topic text, p_role text, p_claims text, p_sub text, p_headers text)
returns void language plpgsql as $$
begin
  perform
    set_config('realtime.topic', coalesce(p_topic, ''), true),
    set_config('request.jwt.claims', p_claims, true),
    set_config('request.jwt.claim.sub', coalesce(p_sub, ''), true),
    set_config('request.jwt.claim.role', p_role, true),
    set_config('request.headers', p_headers, true),
    set_config('role', p_role, true);
end $$;

create or replace function realtime.gateway_read_policies(
  p_topic text, p_role text, p_claims text, p_sub text, p_headers text, p_extensions text[]
) returns jsonb language plpgsql as $$
declare
  answer jsonb;
  probe_ids uuid[];
begin
  begin
    with probes as (
      insert into realtime.messages (topic, extension)
      select p_topic, e from unnest(p_extensions) e
      returning id
    )
    select array_agg(id) into probe_ids from probes;
    perform realtime.gateway_assume(p_topic, p_role, p_claims, p_sub, p_headers);
    select coalesce(jsonb_agg(m.extension), '[]') into answer from realtime.messages m where m.id = any(probe_ids);
    raise exception using errcode = 'GW001', message = answer::text;
  exception when sqlstate 'GW001' then
    return sqlerrm::jsonb;
  end;
end $$;

create or replace function realtime.gateway_write_policies(
  p_topic text, p_role text, p_claims text, p_sub text, p_headers text, p_extensions text[]
) returns jsonb language plpgsql as $$
declare
  allowed text[] := '{}';
  checked text;
begin
  begin
    perform realtime.gateway_assume(p_topic, p_role, p_claims, p_sub, p_headers);
    foreach checked in array p_extensions loop
      begin
        insert into realtime.messages (topic, extension) values (p_topic, checked);
        allowed := allowed || checked;
      exception when insufficient_privilege then
        null; -- denied: the answer lacks it
      end;
    end loop;
    raise exception using errcode = 'GW001', message = to_jsonb(allowed)::text;
  exception when sqlstate 'GW001' then
    return sqlerrm::jsonb;
  end;
end $$;
`;

/*
 * Row security of postgres_changes: which of the rows (by primary key) each group of equal (role, claims)
 * may see. The statement is prepared once per table definition on the connection; a policy that raises
 * counts as "may not see" for that group and leaves the others alone.
 */
const changesSql = `
create or replace function realtime.gateway_visible_rows(p_statement text, p_definition text, p_groups jsonb)
returns table (visible int[], failure text) language plpgsql as $$
declare
  entry jsonb;
begin
  if not exists (select from pg_prepared_statements where name = p_statement) then
    execute format('prepare %I(jsonb) as %s', p_statement, p_definition);
  end if;
  for i in 0 .. jsonb_array_length(p_groups) - 1 loop
    entry := p_groups -> i;
    begin
      -- inlined: a nested call costs half as much again as the whole check
      perform
        set_config('request.jwt.claims', entry ->> 'claims', true),
        set_config('request.jwt.claim.sub', coalesce(entry ->> 'sub', ''), true),
        set_config('request.jwt.claim.role', entry ->> 'role', true),
        set_config('role', entry ->> 'role', true);
      execute format('execute %I(%L)', p_statement, entry -> 'keys') into visible;
      failure := null;
    exception when others then
      visible := '{}';
      failure := sqlerrm;
    end;
    return next;
  end loop;
  perform set_config('role', 'none', true);
end $$;

/* Checks one subscription against every published table it names, with hosted's words for what is wrong, and
   gives its filters back with operands in the canonical text of the column's type, per table. */
create or replace function realtime.gateway_check_subscription(
  p_schema text, p_table text, p_role text, p_filters jsonb, p_select text[]
) returns jsonb language plpgsql as $$
declare
  entity record;
  filter jsonb;
  readable text[];
  column_type regtype;
  operand text;
  members text[];
  checked jsonb;
  answer jsonb := '[]';
  selected text;
begin
  for entity in
    select p.schemaname, p.tablename, format('%I.%I', p.schemaname, p.tablename)::regclass as id
    from pg_publication_tables p
    where p.pubname = 'supabase_realtime'
      and (p_schema = '*' or p.schemaname = p_schema) and (p_table = '*' or p.tablename = p_table)
  loop
    select coalesce(array_agg(a.attname::text), '{}') into readable from pg_attribute a
    where a.attrelid = entity.id and a.attnum > 0 and not a.attisdropped
      and has_column_privilege(p_role, a.attrelid, a.attnum, 'SELECT');
    checked := '[]';
    for filter in select * from jsonb_array_elements(p_filters) loop
      if not (filter ->> 'column') = any(readable) then
        raise exception 'invalid column for filter %', filter ->> 'column';
      end if;
      select a.atttypid::regtype into column_type from pg_attribute a
      where a.attrelid = entity.id and a.attname = filter ->> 'column' and not a.attisdropped;
      operand := filter ->> 'operand';
      members := null;
      case
        when filter ->> 'operator' = 'in' then
          execute format('select array_agg(format(''%%s'', x)) from unnest(%L::%s[]) x where x is not null',
            operand, column_type) into members;
          if coalesce(cardinality(members), 0) > 100 then
            raise exception 'too many values for \`in\` filter. Maximum 100';
          end if;
        when filter ->> 'operator' = 'is' then
          if operand not in ('null', 'true', 'false', 'unknown') then
            raise exception 'invalid value for is filter: must be null, true, false, or unknown';
          end if;
          if operand <> 'null' and column_type <> 'boolean'::regtype then
            raise exception 'is % filter requires a boolean column, got %', operand, column_type::text;
          end if;
        when filter ->> 'operator' in ('like', 'ilike') then
          if not exists (select from pg_operator where oprname = '~~' and oprleft = column_type) then
            raise exception 'operator % requires a text-compatible column type, got %',
              filter ->> 'operator', column_type::text;
          end if;
        when filter ->> 'operator' in ('match', 'imatch') then
          if not exists (
            select from pg_operator
            where oprname = case when filter ->> 'operator' = 'imatch' then '~*' else '~' end
              and oprleft = column_type and oprright = column_type and oprresult = 'boolean'::regtype
          ) then
            raise exception 'operator % requires a text-compatible column type, got %',
              filter ->> 'operator', column_type::text;
          end if;
          begin
            perform '' ~ operand;
          exception when others then
            raise exception 'invalid regular expression for % filter: %', filter ->> 'operator', sqlerrm;
          end;
        else
          execute format('select format(''%%s'', %L::%s)', operand, column_type) into operand;
      end case;
      checked := checked || jsonb_build_object(
        'column', filter ->> 'column', 'operator', filter ->> 'operator',
        'negate', filter -> 'negate', 'operand', operand, 'members', to_jsonb(members),
        'type', column_type::text);
    end loop;
    if p_select is not null then
      foreach selected in array p_select loop
        if not selected = any(readable) then
          raise exception 'invalid column for select %', selected;
        end if;
      end loop;
    end if;
    answer := answer || jsonb_build_object('schema', entity.schemaname, 'table', entity.tablename, 'filters', checked);
  end loop;
  return answer;
end $$;

create or replace function realtime.gateway_check_filter(
  p_values text[], p_type text, p_operator text, p_operand text, p_negate boolean
) returns boolean[] language plpgsql stable as $$
declare
  answer boolean[];
  comparison text;
begin
  comparison := case p_operator
    when 'isdistinct' then format('(v.x::%s is %s distinct from %L::%s)', p_type,
      case when p_negate then 'not' else '' end, p_operand, p_type)
    when 'is' then format('(v.x::%s is %s %s)', p_type, case when p_negate then 'not' else '' end,
      case p_operand when 'null' then 'null' when 'true' then 'true' when 'false' then 'false' else 'unknown' end)
    else format('(%s (v.x::%s %s (%L::%s)))', case when p_negate then 'not' else '' end, p_type,
      case p_operator
        when 'eq' then '=' when 'neq' then '!=' when 'lt' then '<' when 'lte' then '<='
        when 'gt' then '>' when 'gte' then '>=' when 'in' then '= any' when 'like' then 'like'
        when 'ilike' then 'ilike' when 'match' then '~' when 'imatch' then '~*'
      end,
      p_operand, p_type || case when p_operator = 'in' then '[]' else '' end)
  end;
  execute format(
    'select array_agg(coalesce(%s, false) order by v.i) from unnest($1) with ordinality v(x, i)', comparison
  ) into answer using p_values;
  return answer;
end $$;

do $$
declare
  own record;
begin
  for own in
    select p.oid::regprocedure as signature from pg_proc p
    where p.pronamespace = 'realtime'::regnamespace and p.proname like 'gateway\\_%'
  loop
    execute format('revoke all on function %s from public', own.signature);
  end loop;
end $$;
`;

export const realtimePlatformSql: string = [schemaSql, sendSql, publicationSql, policySql, changesSql].join(
  '\n',
);
