/** $1 run id, $2 users, $3 streams, $4 balance, $5 seed */
export const createRunSql = `
  select public.create_synthetic_run($1::text, $2::int, $3::int, $4::bigint, $5::int) as run`;
