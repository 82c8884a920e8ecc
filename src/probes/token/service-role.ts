import { redact } from '../../kernel/redact.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { ProbeContext } from '../probe.ts';
import type { AttackRow } from './attack.ts';
import type { CaseResult } from './judge.ts';
import type { Scene } from './scene.ts';

/**
 * Whether the service-role key is what the token endpoint's own query runs under and nobody else's is: the context of
 * a token may be read with it, and not with the anon key or as a signed-in user.
 */
export async function checkServiceRole({ target }: ProbeContext, scene: Scene): Promise<AttackRow[]> {
  const rows: AttackRow[] = [];
  const { viewer } = scene.people;
  const readers = [
    { name: 'the service-role key may read token contexts', key: scene.serviceRoleKey, allowed: true },
    { name: 'the anon key may not', key: scene.apiKey, allowed: false },
    { name: 'a signed-in user may not', key: scene.apiKey, token: viewer?.jwt ?? '', allowed: false },
  ];
  for (const { name, key, token, allowed } of readers) {
    if (key === null) continue;
    const rest = new SupabaseRest({ supabaseUrl: target.supabaseUrl, apiKey: key, connections: 1 });
    try {
      const args = { p_stream_id: scene.stream, p_user_id: viewer?.id ?? null };
      const { status, text } = await rest.request('POST', '/rest/v1/rpc/livekit_token_context', args, token);
      rows.push({ group: 'service-role', name, ...judge(allowed, status, text) });
    } finally {
      await rest.close();
    }
  }
  return rows;
}

function judge(allowed: boolean, status: number, text: string): CaseResult {
  const answer = `${status}${status >= 400 ? ` ${redact(text.slice(0, 120))}` : ''}`;
  const result = (verdict: CaseResult['verdict'], ...why: string[]) => ({
    ...{ verdict, answer, why, claims: null },
  });
  if (status === 0) return result('inconclusive', `nobody answered: ${redact(text.slice(0, 120))}`);
  const held = allowed ? status === 200 : status === 401 || status === 403 || status === 404;
  return held ? result('held') : result('breached', allowed ? 'it was refused' : 'it was let in');
}
