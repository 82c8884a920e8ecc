/** $1 stream, $2 users, $3 can publish, $4 expires at or null. */
export const grantSeatsSql = `
  select count(*) from unnest($2::uuid[]) as u(id),
         lateral public.grant_seat($1::uuid, u.id, 'speaker', $3, $4::timestamptz, 'probe', 'probe')`;

/** $1 stream, $2 users. One statement for all: they are banned in one commit. */
export const revokeSeatsSql = `
  select count(public.revoke_seat($1::uuid, u.id, 'probe', null, 'probe')) from unnest($2::uuid[]) as u(id)`;

/** $1 stream, $2 users. */
export const downgradeSeatsSql = `
  select count(public.downgrade_seat($1::uuid, u.id, 'probe', 'probe')) from unnest($2::uuid[]) as u(id)`;

/** $1 stream, $2 users, $3 in how many ms by the database's clock their seats run out. */
export const endSeatsSql = `
  select count(*) from unnest($2::uuid[]) as u(id),
         lateral public.grant_seat($1::uuid, u.id, 'speaker', true,
           now() + make_interval(secs => $3::float8 / 1000), 'probe', 'probe')`;
