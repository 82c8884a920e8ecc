import { requestToken } from '../../target/livekit/token-endpoint.ts';
import type { TokenForm } from '../../target/livekit/token-form.ts';
import { formRequest } from '../../target/livekit/token-form.ts';
import type { ProbeContext } from '../probe.ts';
import { openSeatCohort } from '../seat-cohort.ts';
import { type AttackRow, attackTokenEndpoint } from './attack.ts';
import { castScene, castSize } from './cast.ts';
import type { Asker, Scene } from './scene.ts';
import { checkServiceRole } from './service-role.ts';

export interface OwnAttack {
  readonly form: TokenForm;
  /** Whether the endpoint is the target's own: only then it is shown what is signed with the target's keys. */
  readonly trusted: boolean;
  readonly paceMs: number;
  readonly maxTtlS?: number;
  readonly onRow?: (row: AttackRow) => void;
}

/**
 * Attacks an endpoint of our own rules with synthetic users of the target, who have seats, lost them, or are banned.
 * @returns the rows, or why nothing can be learnt: an endpoint that is not there, or has no LiveKit, gives no tokens
 */
export async function attackOwnEndpoint(
  context: ProbeContext,
  attack: OwnAttack,
): Promise<readonly AttackRow[] | string> {
  const { target, clock, signal } = context;
  const cohort = await openSeatCohort(context, { ...castSize, name: 'token' });
  try {
    const cast = await castScene(context, cohort, attack.trusted);
    const scene = { ...cast, maxTtlS: attack.maxTtlS ?? cast.maxTtlS };
    const unusable = await unusableEndpoint(attack.form, scene);
    if (unusable !== null) return unusable;
    const { form, paceMs, onRow } = attack;
    const rows = await attackTokenEndpoint({
      ...{ form, scene, paceMs, signal },
      livekit: attack.trusted ? target.livekit : undefined,
      nowMs: () => clock.now(),
      ...(onRow === undefined ? {} : { onRow }),
    });
    const seen = await checkServiceRole(context, scene);
    for (const row of seen) onRow?.(row);
    return [...rows, ...seen];
  } finally {
    await cohort.close();
  }
}

async function unusableEndpoint(form: TokenForm, { apiKey, stream, people }: Scene): Promise<string | null> {
  const asker: Asker = people.viewer ?? { id: null, jwt: null };
  const { url, request } = formRequest(form, {
    jwt: asker.jwt,
    apiKey,
    room: stream,
    identity: asker.id ?? '',
  });
  const answer = await requestToken(url, request, form.tokenField);
  if (answer.status === 0)
    return `${form.url} does not answer (${answer.problem}): check \`trollfix status\``;
  if (answer.status !== 503) return null;
  return `${form.url} gives no tokens (503: ${answer.problem}): start LiveKit, \`trollfix up --detach\``;
}
