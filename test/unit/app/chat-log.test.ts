import { expect, test } from 'vitest';
import { ChatLog, type ChatMessage } from '../../../src/app/chat-log.ts';
import { messageOf } from '../../../src/app/chat-rows.ts';

const message = (id: string, second: number, changes: Partial<ChatMessage> = {}): ChatMessage => ({
  id,
  userId: 'u',
  name: 'Ada',
  avatarUrl: null,
  body: `message ${id}`,
  sentAt: new Date(second * 1000).toISOString(),
  state: 'stored',
  ...changes,
});

const shown = (log: ChatLog) => log.list.map(({ id, state }) => `${id} ${state}`);

test('each message stands once, in the order of the database, whichever way it came', () => {
  const log = new ChatLog();
  log.send({ id: 'mine', userId: 'me', body: 'hello' });
  log.hear(message('b', 2));
  log.store([message('a', 1)]);
  expect(shown(log)).toEqual(['a stored', 'b heard', 'mine sending']);
  log.store([message('b', 2), message('mine', 3), message('a', 1)]);
  expect(log.hear(message('b', 2, { body: 'forged' }))).toBe(false);
  expect(shown(log)).toEqual(['a stored', 'b stored', 'mine stored']);
  expect(log.list[1]?.body).toBe('message b');
});

test('what the database says replaces what a client said', () => {
  const log = new ChatLog();
  log.hear(message('a', 1, { name: 'The host', body: 'forged' }));
  log.store([message('a', 1)]);
  expect(log.list).toEqual([message('a', 1)]);
});

test('only what is not stored can be dropped', () => {
  const log = new ChatLog();
  log.hear(message('heard', 1));
  log.store([message('stored', 2)]);
  log.drop(['heard', 'stored', 'nobody']);
  expect(shown(log)).toEqual(['stored stored']);
});

test('neither a long evening nor a flood of unconfirmed messages grows it without end', () => {
  const log = new ChatLog();
  log.store(Array.from({ length: 500 }, (_, i) => message(`s${i}`, i)));
  expect(log.list.length).toBe(200);
  expect(log.list.at(-1)?.id).toBe('s499');
  for (let i = 0; i < 300; i++) log.hear(message(`h${i}`, 1000 + i));
  expect(log.heard().length).toBe(100);
});

test.each([
  null,
  'text',
  {},
  { body: '' },
  { body: 'x'.repeat(1001) },
  { user_name: null },
  { user_name: 'x'.repeat(241) },
  { created_at: 'soon' },
  { stream_id: 'another' },
  { id: 7 },
])('no message: %j', (changes) => {
  const row = {
    id: 'i',
    stream_id: 's',
    user_id: 'u',
    body: 'b',
    user_name: 'n',
    user_avatar: null,
    created_at: '2026-03-01T12:00:00+00:00',
  };
  expect(messageOf(row, 's')).not.toBeNull();
  const odd = typeof changes === 'object' && changes !== null && Object.keys(changes).length > 0;
  expect(messageOf(odd ? { ...row, ...changes } : changes, 's')).toBeNull();
});

test('an avatar is a web address or none', () => {
  const row = {
    id: 'i',
    stream_id: 's',
    user_id: 'u',
    body: 'b',
    user_name: 'n',
    created_at: '2026-03-01T12:00:00Z',
  };
  expect(messageOf({ ...row, user_avatar: 'https://a.example/b.png' }, 's')?.avatarUrl).toBe(
    'https://a.example/b.png',
  );
  expect(messageOf({ ...row, user_avatar: 'javascript:alert(1)' }, 's')?.avatarUrl).toBeNull();
});
