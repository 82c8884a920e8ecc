import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BrowserStage, type SignedIn } from './browser-stage.ts';
import { noChromium } from './chromium.ts';

let stage: BrowserStage;

/** What axe-core finds that keeps people out: its two upper grades. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  // the script above has put it there
  const found = (await page.evaluate('axe.run()')) as {
    violations: Array<{ impact: string; id: string; nodes: Array<{ html: string }> }>;
    passes: unknown[];
  };
  if (found.passes.length < 10)
    throw new Error(`axe looked at next to nothing: ${found.passes.length} rules`);
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ impact, id, nodes }) => `${impact} ${id}: ${nodes[0]?.html}`);
}

const stageOf = (page: Page) => page.getByTestId('stage');

/** On stage, and really in the room. */
async function onStage({ page, userId }: SignedIn): Promise<void> {
  await stageOf(page).waitFor();
  await expect.poll(() => stage.inRoom(userId), { timeout: 30_000 }).toBe('ACTIVE');
  await page.getByText('In the room.').waitFor();
}

/** The room is left and the stage is gone. Nobody but the page itself does it: this stack has no guard. */
async function offStage({ page, userId }: SignedIn): Promise<void> {
  await stageOf(page).waitFor({ state: 'detached' });
  await expect.poll(() => stage.inRoom(userId)).toBeUndefined();
}

describe.skipIf(noChromium !== undefined)(`the demo page${noChromium ? ` (${noChromium})` : ''}`, () => {
  beforeAll(async () => {
    stage = await BrowserStage.start({ livekit: true });
  });

  afterEach(async () => stage?.leave());

  afterAll(async () => stage?.[Symbol.asyncDispose]());

  test('a guest watches; everything comes from this machine and nothing breaks its own rules', async () => {
    const { page, complaints } = await stage.visitor();
    await page.goto(stage.demoUrl);
    await expect
      .poll(() => page.evaluate('document.querySelector("video").currentTime'))
      .toBeGreaterThan(0.3);
    await page.getByText('Sign in to join the talk.').waitFor();
    expect(await barriers(page)).toEqual([]);
    await stage.screenshot(page, 'guest');
    expect(complaints).toEqual([]);
  });

  test('a stream that is gone is asked for ever less often, and plays when it is back', async () => {
    const { page } = await stage.visitor();
    let isGone = true;
    let asked = 0;
    await page.route('**/*.m3u8', (route) => {
      asked += 1;
      if (!isGone) return route.continue();
      return route.fulfill({ status: 404, body: 'gone' });
    });
    // the page's own clock stands still: how fast this machine is makes no difference
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 1000);
    await page.goto(stage.demoUrl);
    for (const [count, waitMs] of [1000, 2000, 4000, 8000, 10_000].entries()) {
      await page.getByText(`trying again in ${waitMs / 1000} s`).waitFor();
      isGone = waitMs < 10_000;
      await page.clock.runFor(waitMs - 100);
      expect(asked).toBe(count + 1);
      await page.clock.runFor(100);
    }
    const video = () => page.evaluate('document.querySelector("video").currentTime');
    const trouble = page.getByText('The stream stopped');
    // hls.js goes by timers, too
    const after = async <T>(read: () => Promise<T>) => page.clock.runFor(200).then(read);
    await expect.poll(() => after(video)).toBeGreaterThan(0.3);
    await expect.poll(() => after(() => trouble.count())).toBe(0);
    isGone = true;
    await expect.poll(() => after(() => page.getByText('trying again in 1 s').count())).toBe(1);
  });

  test('sign up with the keyboard alone, chat, collect coins, give a gift', async () => {
    const { page, complaints } = await stage.visitor({ colorScheme: 'dark' });
    await page.goto(stage.demoUrl);
    await page.getByLabel('Name shown in chat').focus();
    for (const text of ['Grace', 'grace@example.test', 'a long enough password']) {
      await page.keyboard.type(text);
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.getByLabel('Your message').focus();
    await page.keyboard.type('Hello from the dark');
    await page.keyboard.press('Enter');
    await page.locator('.messages .stored', { hasText: 'Hello from the dark' }).waitFor();
    await page.getByRole('button', { name: 'Get demo coins' }).press('Enter');
    await page.getByText('1500 coins').first().waitFor();
    await page.getByRole('button', { name: 'Get demo coins' }).press('Enter');
    await page.getByText('You have had your demo coins.').waitFor();
    await page.getByRole('button', { name: /^Rocket/ }).press('Enter');
    await page.getByText('Rocket is on its way').waitFor();
    // this stack has no settler: one round of it
    await stage.database.query("call drain_gift_ledger(5000, 'test')");
    await page.getByText('1400 coins').waitFor();
    await page.locator('.leaders li', { hasText: 'Grace' }).waitFor();
    expect(await barriers(page)).toEqual([]);
    await stage.screenshot(page, 'signed-in-dark');
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await stage.screenshot(page, 'phone-dark');
    expect(complaints).toEqual([]);
  });

  test('a moderator gives a seat and takes it: the page leaves the room and unmounts the stage', async () => {
    const ada = await stage.signUp('Ada');
    await stage.grant(ada.userId);
    await onStage(ada);
    expect(await barriers(ada.page)).toEqual([]);
    await stage.screenshot(ada.page, 'on-stage');
    await stage.revoke(ada.userId, 'spam');
    await offStage(ada);
    await ada.page.getByRole('heading', { name: 'Your seat was taken' }).waitFor();
    await ada.page.getByText('spam').waitFor();
    expect(await barriers(ada.page)).toEqual([]);
    await stage.screenshot(ada.page, 'revoked');
    expect(ada.complaints).toEqual([]);
  });

  test('a seat ends when its time is over', async () => {
    const bob = await stage.signUp('Bob');
    // time enough to get into the room on a slow machine
    await stage.grant(bob.userId, 15_000);
    await onStage(bob);
    await bob.page.getByText('The time of your seat is over.').waitFor();
    // asked at once: a page that ended the seat early is caught only while its time is not over
    const { rows } = await stage.database.query(
      'select expires_at <= clock_timestamp() as over from stream_seats where user_id = $1',
      [bob.userId],
    );
    expect(rows).toEqual([{ over: true }]);
    await offStage(bob);
    await stage.screenshot(bob.page, 'expired');
  });

  test('offline and back: what was revoked meanwhile holds at once', async () => {
    const eve = await stage.signUp('Eve');
    await stage.grant(eve.userId);
    await onStage(eve);
    await eve.page.context().setOffline(true);
    await stage.stack.service('gateway')?.restart(AbortSignal.timeout(30_000));
    await stage.revoke(eve.userId, 'while you were offline');
    // nothing reaches it, so it cannot know
    await eve.page.getByText('the server cannot be reached').waitFor();
    expect(await stageOf(eve.page).count()).toBe(1);
    await eve.page.context().setOffline(false);
    await offStage(eve);
    await eve.page.getByText('while you were offline').waitFor();
  });

  test('spam is blocked in the page and, around the page, by the database', async () => {
    const mal = await stage.signUp('Mal');
    const { page } = mal;
    const say = async (text: string) => {
      await page.getByLabel('Your message').fill(text);
      await page.getByLabel('Your message').press('Enter');
    };
    const sent: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('send_chat_message')) sent.push(request.postData() ?? '');
    });
    // the page's own clock stands still: it is not for a slow machine to grant the second message
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 1000);
    await say('first');
    await page.locator('.messages li', { hasText: 'first' }).waitFor();
    await say('second');
    await page.getByText('Slow down: one message a second.').waitFor();
    await page.getByText('again in 1.0 s').waitFor();
    expect(await page.getByLabel('Your message').inputValue()).toBe('second');
    expect(sent.length).toBe(1);
    await stage.screenshot(page, 'spam-blocked');
    // a spammer with the developer tools open
    const statuses = (await page.evaluate(`(async () => {
      const { access_token } = JSON.parse(localStorage.getItem(Object.keys(localStorage).find((key) => key.endsWith('-auth-token'))));
      const { anonKey } = await (await fetch('config.json')).json();
      return Promise.all(Array.from({ length: 10 }, async () => (await fetch('/rest/v1/rpc/send_chat_message', {
        method: 'POST',
        headers: { apikey: anonKey, authorization: 'Bearer ' + access_token, 'content-type': 'application/json' },
        body: JSON.stringify({ p_id: crypto.randomUUID(), p_stream_id: '${stage.streamId}', p_body: 'buy my coins' }),
      })).status));
    })()`)) as number[];
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(8);
    expect(statuses.filter((status) => status !== 429 && status !== 200)).toEqual([]);
  });
});
