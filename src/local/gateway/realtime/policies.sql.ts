/** Row security checks of private channels; the functions stand in platform/realtime.sql.ts. */
export const readPoliciesSql =
  'select realtime.gateway_read_policies($1, $2, $3, $4, $5, $6::text[]) as allowed';
export const writePoliciesSql =
  'select realtime.gateway_write_policies($1, $2, $3, $4, $5, $6::text[]) as allowed';

/** Broadcasts of a private topic that replay may deliver, newest first ($1 topic, $2 since, $3 limit). */
export const replaySql = `
  select id::text, event, payload::text as payload, binary_payload
  from realtime.messages
  where topic = $1 and private is true and extension = 'broadcast'
    and inserted_at >= (to_timestamp($2::double precision / 1000) at time zone 'utc')
    and inserted_at < (now() at time zone 'utc') + interval '1 minute'
  order by inserted_at desc
  limit $3`;

/** Hosted drops partitions older than 72 h; a bounded number of rows goes at a time. */
export const deleteOldMessagesSql = `
  delete from realtime.messages where (id, inserted_at) in (
    select id, inserted_at from realtime.messages
    where inserted_at < (now() at time zone 'utc') - interval '72 hours' limit 10000)`;
