import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { mintUserToken } from '../../../src/target/supabase/synthetic-users.ts';
import type { Fault } from '../app/mutant.ts';
import { BrowserStage } from './browser-stage.ts';
import { noChromium } from './chromium.ts';

let stage: BrowserStage;

/** `n` people without seats. */
async function people(n: number): Promise<string[]> {
  const { rows } = await stage.database.query(
    `insert into profiles (id, username) select id, 'hook-' || id from (select gen_random_uuid() as id from generate_series(1, $1)) g returning id`,
    [n],
  );
  return rows.map(({ id }) => String(id));
}

interface Opened {
  readonly faults?: readonly Fault[];
  readonly pollMs?: number;
  /** Before anything is loaded. */
  readonly prepare?: (page: Page) => Promise<void>;
}

/** The hook's page, showing the first of `users`. */
async function open(users: readonly string[], options: Opened = {}): Promise<Page> {
  const { page } = await stage.visitor();
  await options.prepare?.(page);
  const nowS = Math.floor(Date.now() / 1000);
  const secret = stage.stack.state.env.SUPABASE_JWT_SECRET;
  const known = users.map((id) => ({ id, token: mintUserToken(secret, id, nowS, nowS + 3600) }));
  const url = new URL(await stage.harness('seat-harness', options.faults));
  url.searchParams.set('people', JSON.stringify(known));
  if (options.pollMs !== undefined) url.searchParams.set('pollMs', String(options.pollMs));
  await page.goto(url.href);
  return page;
}

const shown = (page: Page) => page.getByTestId('seat').textContent();

const live = (page: Page) => page.locator('[data-testid=seat][data-connection=live]').waitFor();

/** As the page gathered them. */
const told = (page: Page, what: 'renders' | 'ejections') =>
  page.evaluate(`told.${what}`) as Promise<string[]>;

/** Ada has a seat, Bob has none; the page goes from her to him. @returns what was rendered as Bob's */
async function rendersOfTheNext(faults: readonly Fault[]): Promise<string[]> {
  const [ada = '', bob = ''] = await people(2);
  await stage.grant(ada);
  const page = await open([ada, bob], { faults });
  await expect.poll(() => shown(page)).toBe(`${ada} seated`);
  await page.evaluate(`told.show('${bob}')`);
  await expect.poll(() => shown(page)).toBe(`${bob} none`);
  return (await told(page, 'renders')).filter((line) => line.startsWith(bob));
}

describe.skipIf(noChromium !== undefined)(`useStreamSeats${noChromium ? ` (${noChromium})` : ''}`, () => {
  beforeAll(async () => {
    stage = await BrowserStage.start({ livekit: false });
  });

  afterEach(async () => stage?.leave());

  afterAll(async () => stage?.[Symbol.asyncDispose]());

  test('in StrictMode there is one watch, and a revocation ejects once', async () => {
    const [ada = ''] = await people(1);
    await stage.grant(ada);
    const page = await open([ada]);
    await live(page);
    await expect.poll(() => page.evaluate('told.channels()')).toBe(1);
    await stage.revoke(ada, 'spam');
    await expect.poll(() => shown(page)).toBe(`${ada} banned`);
    expect(await told(page, 'ejections')).toEqual([`${ada} revoked`]);
  });

  test('an unmounted hook hears nothing, and begins with loading when it is back', async () => {
    const [ada = ''] = await people(1);
    await stage.grant(ada);
    const page = await open([ada]);
    await live(page);
    await page.evaluate('told.show(null)');
    await page.getByText('nobody').waitFor();
    await expect.poll(() => page.evaluate('told.channels()')).toBe(0);
    await stage.revoke(ada, 'unseen');
    const before = (await told(page, 'renders')).length;
    await page.evaluate(`told.show('${ada}')`);
    await expect.poll(() => shown(page)).toBe(`${ada} banned`);
    const after = (await told(page, 'renders')).slice(before);
    expect(new Set(after)).toEqual(new Set([`${ada} loading`, `${ada} banned`]));
    expect(await told(page, 'ejections')).toEqual([`${ada} revoked`]);
  });

  test("another user never sees the last one's seat", async () => {
    const renders = await rendersOfTheNext([]);
    expect(renders.length).toBeGreaterThan(0);
    expect(renders.filter((line) => line.endsWith(' seated'))).toEqual([]);
  });

  test('planted fault: a hook that shows what it holds is caught', async () => {
    const find = 'return isOurs ? held.view : initialSeatView;';
    const replace = 'return isOurs || held ? held.view : initialSeatView;';
    const renders = await rendersOfTheNext([{ file: 'use-stream-seats.ts', find, replace }]);
    expect(renders.filter((line) => line.endsWith(' seated'))).not.toEqual([]);
  });

  test('a lost event is caught by the poll', async () => {
    const [ada = ''] = await people(1);
    await stage.grant(ada);
    let lost = 0;
    const loseChanges = (page: Page) =>
      page.routeWebSocket(/\/realtime\/v1\//, (socket) => {
        const server = socket.connectToServer();
        server.onMessage((message) => {
          if (typeof message === 'string' && message.includes('"postgres_changes",{"ids"')) lost += 1;
          else socket.send(message);
        });
      });
    const page = await open([ada], { pollMs: 500, prepare: loseChanges });
    await live(page);
    await stage.revoke(ada, 'unheard');
    await expect.poll(() => shown(page)).toBe(`${ada} banned`);
    await expect.poll(() => lost).toBeGreaterThan(0);
  });
});
