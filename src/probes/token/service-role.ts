import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { ProbeContext } from '../probe.ts';
import type { Scene } from './hostile-cases.ts';
import type { CaseResult } from './judge.ts';

export interface ServiceRoleResult {
  readonly name: string;
  readonly result: CaseResult;
}

/**
 * Whether the service-role key is what the token endpoint's own query runs under and nobody else's is: the context of
 * a token may be read with it, and not with the anon key or as a signed-in user.
 */
export async function checkServiceRole({ target }: ProbeContext, scene: Scene): Promise<ServiceRoleResult[]> {
  const results: ServiceRoleResult[] = [];
  const readers = [
    { name: 'the service-role key may read token contexts', key: scene.serviceRoleKey, allowed: true },
    { name: 'the anon key may not', key: scene.anonKey, allowed: false },
    { name: 'a signed-in user may not', key: scene.anonKey, token: scene.viewer.token, allowed: false },
  ];
  for (const { name, key, token, allowed } of readers) {
    if (key === undefined) continue;
    const rest = new SupabaseRest({ supabaseUrl: target.supabaseUrl, apiKey: key, connections: 1 });
    try {
      const args = { p_stream_id: scene.stream, p_user_id: scene.viewer.id };
      const { status, text } = await rest.request('POST', '/rest/v1/rpc/livekit_token_context', args, token);
      results.push({ name, result: judge(allowed, status, text) });
    } finally {
      await rest.close();
    }
  }
  return results;
}

function judge(allowed: boolean, status: number, text: string): CaseResult {
  const answer = `${status}${status >= 400 ? ` ${text.slice(0, 120)}` : ''}`;
  if (status === 0) return { verdict: 'untested', answer: text.slice(0, 120) };
  const held = allowed ? status === 200 : status === 401 || status === 403 || status === 404;
  if (held) return { verdict: 'held', answer };
  return { verdict: 'failed', answer, why: [allowed ? 'it was refused' : 'it was let in'] };
}
