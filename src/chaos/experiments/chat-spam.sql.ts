/** Stored messages of a run. $1 run id */
export const storedMessagesSql = `
  select id, user_id as "userId", extract(epoch from created_at)::float8 * 1000 as "createdAtMs"
    from public.chat_messages where run_id = $1
`;
