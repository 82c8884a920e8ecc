/** Ends a stream. $1: its id. */
export const endStreamSql = `update public.streams set status = 'ended' where id = $1::uuid`;
