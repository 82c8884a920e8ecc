import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type * as broadcastChat from '../../../src/app/broadcast-chat.ts';
import { type BroadcastChat, createBroadcastChat } from '../../../src/app/broadcast-chat.ts';
import { AppStage, type Browser } from './app-stage.ts';
import { importMutant } from './mutant.ts';

let stage: AppStage;

beforeAll(async () => {
  stage = await AppStage.start();
});

afterAll(() => stage[Symbol.asyncDispose]());

interface Room extends AsyncDisposable {
  readonly ada: Browser;
  readonly bob: Browser;
  readonly chats: readonly BroadcastChat[];
  /** The throttles' clock stands still: how fast this machine is makes no difference. */
  readonly clock: { ms: number };
}

/** Two people in one room, both told of everything. */
async function room(create = createBroadcastChat): Promise<Room> {
  const ada = await stage.browser();
  const bob = await stage.browser({ of: ada });
  const clock = { ms: 0 };
  const chats = [ada, bob].map((browser) => create({ ...browser, now: () => clock.ms }));
  for (const chat of chats) await expect.poll(() => chat.view.connection).toBe('live');
  return {
    ada,
    bob,
    chats,
    clock,
    [Symbol.asyncDispose]: async () => {
      for (const chat of chats) chat.stop();
    },
  };
}

const bodies = (chat: BroadcastChat | undefined) =>
  chat?.view.messages.map(({ body, state }) => [body, state]);

const stored = (streamId: string) =>
  stage.database.one<string>('select count(*) from chat_messages where stream_id = $1', [streamId]);

/** A row as a client could have made it up. */
const forged = (streamId: string, body: string) => ({
  id: randomUUID(),
  stream_id: streamId,
  user_id: randomUUID(),
  user_name: 'The host',
  user_avatar: null,
  body,
  created_at: new Date().toISOString(),
});

describe('sending', () => {
  test('is stored, named by the database, and arrives once with the others', async () => {
    await using made = await room();
    const [mine, theirs] = made.chats;
    const result = await mine?.send('  hello  ');
    expect(result).toMatchObject({ sent: true, message: { body: 'hello', name: `real-${made.ada.userId}` } });
    await expect.poll(() => bodies(theirs)).toEqual([['hello', 'stored']]);
    expect(bodies(mine)).toEqual([['hello', 'stored']]);
    // both ways were taken
    await expect.poll(() => made.bob.tap.seen.filter((name) => name === 'broadcast').length).toBe(1);
    await expect.poll(() => made.bob.tap.seen.filter((name) => name === 'postgres_changes').length).toBe(1);
    expect(theirs?.view.messages.length).toBe(1);
  });

  test('faster than one a second is blocked here, and says when again', async () => {
    await using made = await room();
    const [mine] = made.chats;
    expect((await mine?.send('one'))?.sent).toBe(true);
    made.clock.ms += 400;
    expect(await mine?.send('two')).toMatchObject({ sent: false, refusal: { code: 'too_fast' } });
    expect(mine?.view.refusal?.message).toMatch(/again in 0\.6 s/);
    expect(mine?.retryInMs()).toBe(600);
    expect(await stored(made.ada.streamId)).toBe('1');
    // the server's second has to pass as well
    await expect
      .poll(async () => {
        made.clock.ms += 1000;
        return (await mine?.send('three'))?.sent;
      })
      .toBe(true);
    expect(mine?.view.refusal).toBeNull();
  });

  test('around the throttle it is the database that refuses, and the throttle learns of it', async () => {
    await using made = await room();
    const [mine] = made.chats;
    const direct = () =>
      made.ada.supabase.rpc('send_chat_message', {
        p_id: randomUUID(),
        p_stream_id: made.ada.streamId,
        p_body: 'spam',
      });
    // both within one of the database's seconds, however long it takes this machine to get there
    await expect
      .poll(async () => {
        made.clock.ms += 1000;
        await direct();
        await mine?.send('mine');
        return mine?.view.refusal;
      })
      .toEqual({ code: 'too_fast', message: 'chat rate limit: 1 message per second' });
    expect(mine?.retryInMs()).toBe(1000);
  });

  test('of somebody who is banned is refused in the words of the server', async () => {
    await using made = await room();
    await stage.revoke(made.ada, 'spam');
    const result = await made.chats[0]?.send('still here?');
    expect(result).toMatchObject({
      sent: false,
      refusal: { code: 'banned', message: 'banned from this stream' },
    });
    expect(bodies(made.chats[0])).toEqual([]);
  });

  test.each([
    ['', 'empty'],
    ['   ', 'empty'],
    ['é'.repeat(501), 'too_long'],
  ])('%j is not sent', async (body, code) => {
    const ada = await stage.browser();
    const chat = createBroadcastChat(ada);
    expect(await chat.send(body)).toMatchObject({ sent: false, refusal: { code } });
    expect(chat.retryInMs()).toBe(0);
    chat.stop();
  });

  test('500 characters beyond the basic plane are 500 characters', async () => {
    const ada = await stage.browser();
    const chat = createBroadcastChat(ada);
    expect(await chat.send('😀'.repeat(500))).toMatchObject({ sent: true });
    chat.stop();
  });

  test('an answer that got lost does not double the message', async () => {
    const ada = await stage.browser();
    const chat = createBroadcastChat(ada);
    let lost = 0;
    ada.beforeAnswer = async (url) => {
      if (!url.includes('send_chat_message') || lost === 1) return;
      lost += 1;
      throw new TypeError('fetch failed');
    };
    expect(await chat.send('once')).toMatchObject({ sent: true });
    expect(lost).toBe(1);
    expect(await stored(ada.streamId)).toBe('1');
    chat.stop();
  });
});

/** Somebody shouts 21 made-up messages into the room, around chat and database. @returns the room, all of it heard */
async function flooded(create = createBroadcastChat): Promise<Room> {
  const made = await room(create);
  const channel = made.ada.supabase.getChannels().find(({ topic }) => topic.endsWith(made.ada.streamId));
  const first = forged(made.ada.streamId, 'I am the host');
  for (let i = 0; i <= 20; i++) {
    const payload = i === 0 ? first : { ...first, id: randomUUID(), body: `flood ${i}` };
    await channel?.send({ type: 'broadcast', event: 'message', payload });
  }
  await expect.poll(() => made.bob.tap.seen.filter((name) => name === 'broadcast').length).toBe(21);
  return made;
}

describe('what a client makes up', () => {
  test('is only heard, at one a second of each sender, and never stored', async () => {
    await using made = await flooded();
    const [, theirs] = made.chats;
    expect(bodies(theirs)).toEqual([['I am the host', 'heard']]);
    // nobody confirms it
    await expect.poll(() => bodies(theirs)).toEqual([]);
  });

  test.each([
    [
      'senders have no pace',
      'this.#senderThrottle(message.userId).tryAcquire().allowed',
      'true',
      21,
      'heard',
    ],
    [
      'a word is taken for a row',
      'this.#log.hear(message)',
      '(this.#log.store([message]), true)',
      1,
      'stored',
    ],
  ])('planted fault: %s', async (_, find, replace, count, state) => {
    const fault = { file: 'broadcast-chat.ts', find, replace };
    const mutant = await importMutant<typeof broadcastChat>('broadcast-chat.ts', [fault]);
    await using made = await flooded(mutant.createBroadcastChat);
    const heard = bodies(made.chats[1]);
    expect(heard?.length).toBe(count);
    expect(heard?.[0]).toEqual(['I am the host', state]);
  });
});

describe('receiving', () => {
  test('goes on over a restart of the server, with what was said meanwhile', async () => {
    await using made = await room();
    await stage.restartGateway(() =>
      stage.database.one(
        `insert into chat_messages (id, stream_id, user_id, body, user_name) values ($1, $2, $3, 'meanwhile', 'Bob')`,
        [randomUUID(), made.ada.streamId, made.bob.userId],
      ),
    );
    await expect.poll(() => bodies(made.chats[0])).toEqual([['meanwhile', 'stored']]);
    await expect.poll(() => made.chats[0]?.view.connection).toBe('live');
  });

  test('works for a guest, who cannot send', async () => {
    const ada = await stage.browser();
    const guest = createBroadcastChat({ supabase: stage.guest(), streamId: ada.streamId, userId: null });
    await expect.poll(() => guest.view.connection).toBe('live');
    const chat = createBroadcastChat(ada);
    expect((await chat.send('hello'))?.sent).toBe(true);
    await expect.poll(() => bodies(guest)).toEqual([['hello', 'stored']]);
    expect(await guest.send('me too')).toMatchObject({ sent: false, refusal: { code: 'signed_out' } });
    guest.stop();
    chat.stop();
  });

  test('a second chat of the same client waits for the first one to go', async () => {
    const ada = await stage.browser();
    const first = createBroadcastChat(ada);
    await expect.poll(() => first.view.connection).toBe('live');
    const second = createBroadcastChat(ada);
    await expect.poll(() => second.view.connection).toBe('polling');
    first.stop();
    await expect.poll(() => second.view.connection).toBe('live');
    second.stop();
  });
});
