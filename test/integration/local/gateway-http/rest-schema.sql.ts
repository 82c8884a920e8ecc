/** A schema to test requests against: made as `postgres`, under the platform's default privileges. */
export const restSchemaSql = `
create table public.authors (id int primary key, name text not null unique, "odd ""name" text default 'x');
create table public.books (
  id int primary key,
  title text not null,
  author_id int references public.authors (id),
  editor_id int constraint books_editor_fkey references public.authors (id),
  pages int default 100 check (pages > 0),
  data jsonb,
  tags text[] default '{}',
  span int4range,
  created_at timestamptz default '2026-01-01T00:00:00Z'
);
create table public.covers (book_id int primary key references public.books (id), colour text);
insert into public.authors (id, name) values (1, 'Ann'), (2, 'Bob'), (3, 'Cid');
insert into public.books (id, title, author_id, editor_id, pages, data, tags, span) values
  (1, 'One, two', 1, 2, 10, '{"a": {"b": [10, 20]}, "n": 1}', '{x,y}', '[1,5)'),
  (2, 'Two "quoted"', 1, null, 20, '{"a": {"b": [30]}, "n": 2}', '{y}', '[5,9)'),
  (3, 'Three%', 2, null, 30, null, '{}', null),
  (4, 'four', null, null, 40, null, '{z}', null);
insert into public.covers values (1, 'red');

create table public.notes (id uuid primary key default gen_random_uuid(), owner uuid not null default auth.uid(), body text);
alter table public.notes enable row level security;
create policy own on public.notes to authenticated using (owner = auth.uid()) with check (owner = auth.uid());

create table public.secrets (id int primary key, word text);
revoke all on public.secrets from anon, authenticated, service_role;

create table public.items (id int generated always as identity primary key, code text unique, qty int default 7, note text);

create function public.add(a int, b int default 2) returns int language sql immutable as 'select a + b';
create function public.no_args() returns text language sql stable as $$ select 'hi' $$;
create function public.nothing() returns void language sql volatile as 'select null::void';
create function public.one_book(p_id int) returns public.books language sql stable as 'select * from public.books where id = p_id';
create function public.all_books() returns setof public.books language sql stable as 'select * from public.books order by id';
create function public.numbers(n int) returns setof int language sql immutable as 'select generate_series(1, n)';
create function public.pairs() returns table (k int, v text) language sql immutable as $$ values (1, 'a'), (2, 'b') $$;
create function public.echo(payload jsonb) returns jsonb language sql immutable as 'select payload';
create function public.raw(jsonb) returns jsonb language sql immutable as 'select $1';
create function public.sum_all(variadic xs int[]) returns bigint language sql immutable as 'select sum(x) from unnest(xs) x';
create function public.twice(a int) returns text language sql immutable as $$ select 'int' $$;
create function public.twice(a text) returns text language sql immutable as $$ select 'text' $$;
create function public.whoami() returns jsonb language sql stable as $$
  select jsonb_build_object('role', current_user, 'sub', auth.uid(), 'claims', auth.jwt(),
    'method', current_setting('request.method', true), 'path', current_setting('request.path', true),
    'header', current_setting('request.headers', true)::json ->> 'x-probe',
    'read_only', current_setting('transaction_read_only'), 'timeout', current_setting('statement_timeout'))
$$;
create function public.insert_item(p_code text) returns int language sql volatile as
  'insert into public.items (code) values (p_code) returning id';
create function public.fail(p_state text) returns void language plpgsql as $$
begin
  raise exception 'failed with %', p_state using errcode = p_state, detail = 'the detail', hint = 'the hint';
end $$;
create function public.teapot() returns void language plpgsql as $$
begin
  raise sqlstate 'PGRST' using message = '{"code":"T1","message":"short and stout"}', detail = '{"status":418,"headers":{"X-Pot":"tea"}}';
end $$;
create function public.created() returns text language plpgsql as $$
begin
  perform set_config('response.status', '202', true);
  perform set_config('response.headers', '[{"X-Made":"here"}]', true);
  return 'ok';
end $$;
create function public.slow(p_s float8) returns void language sql volatile as 'select pg_sleep(p_s)';
create function public.hidden() returns int language sql as 'select 1';
revoke execute on function public.hidden() from public, anon, authenticated, service_role;
`;
