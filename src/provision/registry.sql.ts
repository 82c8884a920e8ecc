/**
 * Where provisioning keeps its own books: which migrations ran, and what each object of theirs looked like when it
 * was made. In a schema of its own, which the app's roles cannot even look into.
 */
export const createRegistrySql = `
create schema if not exists trollfix_provision;
revoke all on schema trollfix_provision from public;
create table if not exists trollfix_provision.migrations (
  name text primary key,
  checksum text not null,
  applied_at timestamptz not null default clock_timestamp(),
  tool_version text not null
);
create table if not exists trollfix_provision.objects (
  kind text not null,
  identity text not null,
  definition text not null,
  primary key (kind, identity)
);
alter table trollfix_provision.migrations enable row level security;
alter table trollfix_provision.objects enable row level security;
`;

/** Held to the end of each provisioning transaction (29798 = 'tf'); a transaction lock also works through a pooler. */
export const lockSql = 'select pg_advisory_xact_lock(29798, 2)';

export const registryExistsSql = `select to_regclass('trollfix_provision.migrations') is not null as present`;

export const appliedSql = 'select name, checksum from trollfix_provision.migrations order by name';

export const recordMigrationSql =
  'insert into trollfix_provision.migrations (name, checksum, tool_version) values ($1, $2, $3)';

export const attachPlatformSql = 'select trollfix.attach_platform() as result';

export const registeredObjectsSql = 'select kind, identity, definition from trollfix_provision.objects';

export const forgetObjectsSql = `
delete from trollfix_provision.objects o using jsonb_to_recordset($1::jsonb) as g (kind text, identity text)
where o.kind = g.kind and o.identity = g.identity`;

export const recordObjectsSql = `
insert into trollfix_provision.objects (kind, identity, definition)
select kind, identity, definition from jsonb_to_recordset($1::jsonb) as n (kind text, identity text, definition text)
on conflict (kind, identity) do update set definition = excluded.definition`;

/** The Supabase CLI's own books. */
export const supabaseHistoryExistsSql = `select to_regclass('supabase_migrations.schema_migrations') is not null as present`;

export const supabaseHistorySql =
  'select version from supabase_migrations.schema_migrations where version = any ($1) order by version';
