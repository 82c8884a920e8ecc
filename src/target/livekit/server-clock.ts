import type { Clock } from '../../kernel/clock.ts';

/** It is one small answer; a server that takes longer has other troubles than its clock. */
const answerMs = 2_000;

/**
 * How far this machine's clock is ahead of the server's (negative: behind), in milliseconds, by the `Date` of an answer:
 * exact to about a second. null where there is no answer, or none with a date.
 */
export async function clockLeadMs(url: string, clock: Clock): Promise<number | null> {
  try {
    const answer = await fetch(url.replace(/^ws/, 'http'), { signal: AbortSignal.timeout(answerMs) });
    const nowMs = clock.now();
    await answer.arrayBuffer();
    const serverMs = Date.parse(answer.headers.get('date') ?? '');
    return Number.isNaN(serverMs) ? null : nowMs - serverMs;
  } catch {
    return null;
  }
}
