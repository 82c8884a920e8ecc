import { createChatThrottle } from '../../app/chat-throttle.ts';
import { sleep } from '../../kernel/clock.ts';
import { createFixture } from '../../probes/fixture.ts';
import { SupabaseRest } from '../../target/supabase/rest.ts';
import type { SyntheticUser } from '../../target/supabase/synthetic-users.ts';
import { checkAcknowledged, checkPace, type StoredMessage } from '../checkers/chat-pace.ts';
import type { Experiment, ExperimentContext, Observation } from '../experiment.ts';
import { invariant } from '../run-experiment.ts';
import { storedMessagesSql } from './chat-spam.sql.ts';

/** Ten tries a second for three seconds: ten times what is allowed, long enough for more than two turns. */
const tries = 30;
const everyMs = 100;
/** At once from one user: enough that a check that reads before it writes would let some through. */
const burst = 10;
/** The well-behaved client's pace, with room over 1 s for a noisy machine. */
const calmEveryMs = 1200;
const calmTries = 3;

export const chatSpam: Experiment = {
  id: 'chat-spam',
  scenario: 'Chat Spam (>1 msg/s)',
  expected:
    'The client throttle blocks the send box; a client without it is refused by the database with 429; a user who keeps to 1 msg/s is never refused.',
  remediation:
    'Keep `createChatThrottle` in the send box and write chat only through `send_chat_message`, which keeps the same pace in the database.',
  does: 'one user types through the client throttle, one skips it, one sends ten messages at the same time, one behaves',
  touches: 'chat messages of a synthetic stream',
  needs: ['database', 'userTokens'],
  run: runChatSpam,
};

interface Tally {
  /** Sends that the client throttle kept back. */
  blocked: number;
  readonly acknowledged: Set<string>;
  readonly refused: Set<string>;
  /** Answers that are neither: not the throttle's doing, so nobody can say what they mean. */
  readonly odd: string[];
}

async function runChatSpam(context: ExperimentContext): Promise<Observation> {
  const { database, target } = context;
  if (database === undefined) throw new Error('chat-spam runs with a database');
  const fixture = await createFixture(context, { users: 4, streams: 1, balance: 0, signIn: true });
  const [throttled, skipping, bursting, calm] = fixture.users;
  const streamId = fixture.streamIds[0];
  if (!throttled || !skipping || !bursting || !calm || !streamId)
    throw new Error('the fixture is incomplete');
  const rest = new SupabaseRest({ supabaseUrl: target.supabaseUrl, apiKey: target.anonKey.reveal() });
  try {
    await warmUp(rest);
    const send = sender(context, rest, streamId);
    const [typed, skipped, burstOnce, behaved] = await Promise.all([
      typeThroughThrottle(context, (tally) => send(throttled, tally)),
      spam(context, tries, everyMs, (tally) => send(skipping, tally)),
      spamAtOnce((tally) => send(bursting, tally)),
      spam(context, calmTries, calmEveryMs, (tally) => send(calm, tally)),
    ]);
    const stored = (await database.query<StoredMessage>(storedMessagesSql, [context.runId])).rows;
    return observe({ typed, skipped, burstOnce, behaved }, stored);
  } finally {
    await rest.close();
    await fixture.release();
  }
}

function observe(
  { typed, skipped, burstOnce, behaved }: Record<'typed' | 'skipped' | 'burstOnce' | 'behaved', Tally>,
  stored: readonly StoredMessage[],
): Observation {
  const all = [typed, skipped, burstOnce, behaved];
  const sum = (count: (tally: Tally) => number) => all.reduce((total, tally) => total + count(tally), 0);
  const sent = sum((t) => t.acknowledged.size + t.refused.size + t.odd.length);
  const acknowledged = all.map((t) => t.acknowledged).reduce((a, b) => a.union(b), new Set<string>());
  const refused = all.map((t) => t.refused).reduce((a, b) => a.union(b), new Set<string>());
  return {
    observed:
      `client throttle: ${typed.blocked} of ${tries} sends blocked, ${typed.acknowledged.size} sent; ` +
      `without it: ${skipped.refused.size} of ${tries} refused with 429; ` +
      `${burst} at once: ${burstOnce.acknowledged.size} stored; at 1 msg per ${calmEveryMs} ms: ${behaved.refused.size} refused`,
    load: { offered: sent + typed.blocked, achieved: sent, samples: sent },
    fault: null,
    steadyState: {
      before: null,
      during: { refused: refused.size, acknowledged: acknowledged.size },
      after: { calmSent: behaved.acknowledged.size, calmRefused: behaved.refused.size },
    },
    detectionMs: null,
    recoveryMs: null,
    invariants: [
      checkPace(stored),
      checkAcknowledged(stored, acknowledged, refused),
      invariant('the client throttle blocks spam', tries, typed.blocked > 0 ? [] : ['no send was blocked']),
      invariant(
        'a throttled client is not refused by the database',
        typed.acknowledged.size + typed.refused.size,
        [...typed.refused].map((id) => `refused: ${id}`),
      ),
      invariant(
        'the database refuses a client without throttle',
        tries,
        skipped.refused.size > 0 ? [] : ['none refused'],
      ),
      invariant(
        'of messages sent at once exactly one is stored',
        burst,
        burstOnce.acknowledged.size === 1 ? [] : [`${burstOnce.acknowledged.size} were stored`],
      ),
      invariant(
        'a well-behaved user is never refused',
        behaved.acknowledged.size + behaved.refused.size,
        [...behaved.refused].map((id) => `refused: ${id}`),
      ),
      invariant(
        'every answer is an acceptance or a 429',
        sent,
        all.flatMap((t) => t.odd),
      ),
    ],
    details: { stored: stored.length, blockedByClient: typed.blocked, refusedByDatabase: refused.size },
  };
}

function newTally(): Tally {
  return { blocked: 0, acknowledged: new Set(), refused: new Set(), odd: [] };
}

/**
 * Opens the connections and wakes the gateway. The database keeps the pace by when a message arrives: a first one that
 * took 300 ms longer than the next would make an honest client look too fast.
 */
async function warmUp(rest: SupabaseRest): Promise<void> {
  await Promise.all(Array.from({ length: burst }, () => rest.rpc('get_leaderboard', { p_scope: 'all' })));
}

function sender(context: ExperimentContext, rest: SupabaseRest, streamId: string) {
  return async (user: SyntheticUser, tally: Tally): Promise<void> => {
    const id = context.random.uuid();
    context.history({ process: user.username, op: 'send', type: 'invoke', value: id });
    const answer = await rest.request(
      'POST',
      '/rest/v1/rpc/send_chat_message',
      { p_id: id, p_stream_id: streamId, p_body: `spam ${id}` },
      user.token,
    );
    if (answer.status === 200) tally.acknowledged.add(id);
    else if (answer.status === 429) tally.refused.add(id);
    else tally.odd.push(`HTTP ${answer.status}: ${answer.text.slice(0, 200)}`);
    const type = answer.status === 200 ? 'ok' : answer.status === 429 ? 'fail' : 'info';
    context.history({ process: user.username, op: 'send', type, value: { id, status: answer.status } });
  };
}

async function typeThroughThrottle(
  context: ExperimentContext,
  send: (tally: Tally) => Promise<void>,
): Promise<Tally> {
  const throttle = createChatThrottle({ now: () => context.clock.monotonicMs() });
  const tally = newTally();
  const pending: Promise<void>[] = [];
  for (let i = 0; i < tries; i++) {
    if (throttle.tryAcquire().allowed) pending.push(send(tally));
    else tally.blocked++;
    await sleep(everyMs, context.signal);
  }
  await Promise.all(pending);
  return tally;
}

async function spam(
  context: ExperimentContext,
  count: number,
  gapMs: number,
  send: (tally: Tally) => Promise<void>,
): Promise<Tally> {
  const tally = newTally();
  const pending: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    pending.push(send(tally));
    await sleep(gapMs, context.signal);
  }
  await Promise.all(pending);
  return tally;
}

async function spamAtOnce(send: (tally: Tally) => Promise<void>): Promise<Tally> {
  const tally = newTally();
  await Promise.all(Array.from({ length: burst }, () => send(tally)));
  return tally;
}
