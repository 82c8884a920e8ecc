import { createClient } from '@supabase/supabase-js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type BroadcastChatOptions, createBroadcastChat } from '../../../src/app/broadcast-chat.ts';

const streamId = '00000000-0000-8000-8000-000000000001';
const userId = '00000000-0000-8000-8000-000000000002';

interface Sent {
  readonly id: string;
  readonly body: string;
}

/** A chat whose server gets every message and loses its answers while `isCut`; there is no live channel. */
function chatOf(onChange: BroadcastChatOptions['onChange'] = () => {}) {
  const server = { isCut: false, sent: [] as Sent[] };
  const answer: typeof fetch = async (input, init) => {
    if (!String(input).includes('send_chat_message')) return Response.json([]);
    const { p_id: id, p_body: body } = JSON.parse(String(init?.body)) as { p_id: string; p_body: string }; // of an RPC
    server.sent.push({ id, body });
    if (server.isCut) throw new TypeError('fetch failed');
    const created = new Date(0).toISOString();
    const row = { id, stream_id: streamId, user_id: userId, body, user_name: 'Ada', created_at: created };
    return Response.json(row);
  };
  const supabase = createClient('http://127.0.0.1:9', 'anon', {
    auth: { persistSession: false, autoRefreshToken: false },
    global: { fetch: answer },
  });
  // no token, no channel
  vi.spyOn(supabase.realtime, 'setAuth').mockReturnValue(new Promise(() => {}));
  const now = { ms: 0 };
  const chat = createBroadcastChat({ supabase, streamId, userId, onChange, now: () => now.ms });
  /** The next turn has come. */
  const send = (body: string) => {
    now.ms += 1000;
    return chat.send(body);
  };
  return { chat, server, send };
}

const idsOf = (sent: readonly Sent[], body: string) => [
  ...new Set(sent.filter((one) => one.body === body).map(({ id }) => id)),
];

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('what nobody answered for', () => {
  test('keeps its id for the next time, each of two that were under way together', async () => {
    vi.useFakeTimers();
    const { chat, server, send } = chatOf();
    server.isCut = true;
    const both = Promise.all([send('first'), send('second')]);
    await vi.advanceTimersByTimeAsync(5_000);
    for (const result of await both) expect(result).toMatchObject({ refusal: { code: 'unreachable' } });
    server.isCut = false;
    expect(await send('first')).toMatchObject({ sent: true });
    expect(await send('second')).toMatchObject({ sent: true });
    expect(server.sent.length).toBe(8);
    expect(idsOf(server.sent, 'first').length).toBe(1);
    expect(idsOf(server.sent, 'second').length).toBe(1);
    // that was answered: the same text is a message of its own now
    expect(await send('first')).toMatchObject({ sent: true });
    expect(idsOf(server.sent, 'first').length).toBe(2);
    chat.stop();
  });

  test('is nothing that is still under way: the same text said twice is two messages', async () => {
    const { chat, server, send } = chatOf();
    const results = await Promise.all([send('ha'), send('ha')]);
    expect(results).toMatchObject([{ sent: true }, { sent: true }]);
    expect(idsOf(server.sent, 'ha').length).toBe(2);
    expect(chat.view.messages.map(({ body }) => body)).toEqual(['ha', 'ha']);
    chat.stop();
  });
});

test('an onChange that throws is reported and keeps no message from being sent', async () => {
  const reported: unknown[] = [];
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((task) => {
    try {
      task();
    } catch (error) {
      reported.push(error);
    }
  });
  const broken = new Error('the page broke');
  const { chat, send } = chatOf(() => {
    throw broken;
  });
  expect(await send('hello')).toMatchObject({ sent: true });
  expect(new Set(reported)).toEqual(new Set([broken]));
  chat.stop();
});
