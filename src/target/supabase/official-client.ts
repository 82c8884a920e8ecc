import { createClient, type SupabaseClient } from '@supabase/supabase-js';

export interface OfficialClientOptions {
  readonly supabaseUrl: string;
  readonly apiKey: string;
  /** The user's JWT; without it the client acts as the key's role. */
  readonly accessToken?: string;
}

/**
 * An unmodified supabase-js client, as the app's browsers run it, for one user: nothing is stored or refreshed.
 * Close it with {@link closeOfficialClient}; a socket left open keeps the process alive.
 */
export async function openOfficialClient(options: OfficialClientOptions): Promise<SupabaseClient> {
  const token = options.accessToken;
  const client = createClient(options.supabaseUrl, options.apiKey, {
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    ...(token === undefined ? {} : { accessToken: () => Promise.resolve(token) }),
  });
  // private channels are joined with the token the socket holds at that moment
  if (token !== undefined) await client.realtime.setAuth(token);
  return client;
}

export async function closeOfficialClient(client: SupabaseClient): Promise<void> {
  await client.removeAllChannels();
  client.realtime.disconnect();
}
