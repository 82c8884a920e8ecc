import { sleep } from '../../kernel/clock.ts';
import type { Secret } from '../../kernel/redact.ts';
import { requestToken, type TokenAnswer } from '../../target/livekit/token-endpoint.ts';
import { formRequest, type TokenForm } from '../../target/livekit/token-form.ts';
import type { Group } from './hostile-case.ts';
import { hostileCases } from './hostile-cases.ts';
import { type CaseResult, Judge, notAsked } from './judge.ts';
import { forgersKeys, type Scene } from './scene.ts';

/** One row of the table with what became of it. */
export interface AttackRow extends CaseResult {
  readonly group: Group | 'service-role';
  readonly name: string;
}

export interface AttackOptions {
  readonly form: TokenForm;
  readonly scene: Scene;
  /** With the key pair of LiveKit the signatures of tokens are checked too. */
  readonly livekit: { readonly apiKey: string; readonly apiSecret: Secret } | undefined;
  /** Least time between two questions: a remote endpoint has limits. */
  readonly paceMs: number;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  readonly onRow?: (row: AttackRow) => void;
}

/**
 * Puts the table of hostile requests to an endpoint, one after the other: what one request does to the process must
 * show in the next. Every token that comes back is compared with what its case allows, and none is kept.
 */
export async function attackTokenEndpoint(options: AttackOptions): Promise<AttackRow[]> {
  const { form, scene, signal } = options;
  const judge = new Judge(scene, options.livekit, options.nowMs);
  const rows: AttackRow[] = [];
  for (const testCase of hostileCases(scene, await forgersKeys(), form.body !== null)) {
    signal.throwIfAborted();
    let result: CaseResult;
    if ('missing' in testCase.ask) result = notAsked(testCase.ask.missing);
    else {
      if (rows.length > 0 && options.paceMs > 0) await sleep(options.paceMs, signal);
      const { url, request } = formRequest(form, testCase.ask);
      const answer = await requestToken(url, request, form.tokenField);
      result = await judge.judge(testCase, withoutSessions(answer, scene));
    }
    const row = { group: testCase.group, name: testCase.name, ...result };
    options.onRow?.(row);
    rows.push(row);
  }
  return rows;
}

/** An endpoint may repeat what it was told; sessions that are no JWT would not be known for secrets. */
function withoutSessions(answer: TokenAnswer, { people }: Scene): TokenAnswer {
  let { problem } = answer;
  for (const { jwt } of Object.values(people))
    if (jwt) problem = problem?.replaceAll(jwt, '[session]') ?? null;
  return { ...answer, problem };
}
