/** $1 stream, $2 user: all that the token policy decides on. */
export const tokenContextSql = `select public.livekit_token_context($1::uuid, $2::uuid) as context`;
