import { clockSlackMs, type SeatEjection } from '../../../src/app/seat-state.ts';
import type * as seatWatcher from '../../../src/app/seat-watcher.ts';
import type { SeatView, SeatWatch, SeatWatchOptions } from '../../../src/app/seat-watcher.ts';
import type { AppStage, Browser } from './app-stage.ts';

/** The module under test: ours, or one with a fault planted in it. */
export type WatcherModule = Pick<typeof seatWatcher, 'watchStreamSeat'>;

export interface Scene {
  readonly stage: AppStage;
  readonly watcher: WatcherModule;
  /** How long the thing in question may take before it counts as not happening. */
  readonly patienceMs: number;
}

/** For what a scenario only sets out from; a fault must not be taken for caught because the machine was slow. */
const setOutMs = 30_000;

/** A watch with what it told, and a way to wait for what it shows. */
class Watched implements Disposable {
  readonly watch: SeatWatch;
  readonly ejections: SeatEjection[] = [];
  readonly views: SeatView[] = [];
  readonly #patienceMs: number;

  constructor(scene: Scene, browser: Browser, options: Partial<SeatWatchOptions> = {}) {
    this.#patienceMs = scene.patienceMs;
    this.watch = scene.watcher.watchStreamSeat({
      supabase: browser.supabase,
      streamId: browser.streamId,
      userId: browser.userId,
      // what a test of events must not be saved by
      pollMs: 600_000,
      ...options,
      onEject: (ejection) => {
        this.ejections.push(ejection);
        options.onEject?.(ejection);
      },
      onChange: (view) => this.views.push(view),
    });
  }

  /** What the scenario sets out from. */
  reach(what: string, holds: (view: SeatView) => boolean): Promise<void> {
    return until(
      `${what}; the watch shows`,
      setOutMs,
      () => holds(this.watch.view),
      () => this.watch.view,
    );
  }

  /** What the scenario is about. */
  until(what: string, holds: (view: SeatView) => boolean): Promise<void> {
    return until(
      `${what}; the watch shows`,
      this.#patienceMs,
      () => holds(this.watch.view),
      () => this.watch.view,
    );
  }

  /** In that state, told of changes from now on, and with no reading on its way that could see what comes next. */
  async live(status: SeatView['seat']['status']): Promise<void> {
    await this.reach(
      `${status} and live`,
      ({ seat, connection }) => seat.status === status && connection === 'live',
    );
    await this.watch.resync();
  }

  [Symbol.dispose](): void {
    this.watch.stop();
  }
}

/** Counts how often one error is thrown out of a microtask, where a page's `error` event would tell of it. */
class ReportedErrors implements Disposable {
  count = 0;
  readonly #queueMicrotask = globalThis.queueMicrotask;

  constructor(error: Error) {
    globalThis.queueMicrotask = (task) =>
      this.#queueMicrotask(() => {
        try {
          task();
        } catch (thrown) {
          if (thrown !== error) throw thrown;
          this.count += 1;
        }
      });
  }

  [Symbol.dispose](): void {
    globalThis.queueMicrotask = this.#queueMicrotask;
  }
}

/** @throws when it does not come to hold */
async function until(
  what: string,
  patienceMs: number,
  holds: () => boolean,
  shown: () => unknown,
): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`never ${what}: ${JSON.stringify(shown())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function expectEqual(what: string, got: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

/** A moderator revokes: out at once, with the reason, told once. */
async function revocation(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser);
  await watched.live('seated');
  await scene.stage.revoke(browser, 'spam', '2999-01-01T00:00:00Z');
  await watched.until('banned', ({ seat }) => seat.status === 'banned' && seat.until !== null);
  expectEqual(
    'ejections',
    watched.ejections.map(({ cause, reason }) => [cause, reason]),
    [['revoked', 'spam']],
  );
  await scene.stage.restore(browser);
  await watched.until('seated again', ({ seat }) => seat.status === 'seated');
  expectEqual('after the restore', watched.watch.view.ejection, null);
}

/** A viewer who never had a seat is banned: out too. */
async function bannedViewer(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  using watched = new Watched(scene, browser);
  await watched.live('none');
  await scene.stage.revoke(browser, 'abuse');
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
  expectEqual(
    'ejections',
    watched.ejections.map(({ cause }) => cause),
    ['banned'],
  );
}

/** Somebody who was banned before the page was opened. */
async function bannedBefore(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.revoke(browser, 'abuse');
  using watched = new Watched(scene, browser);
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
  expectEqual(
    'ejections',
    watched.ejections.map(({ cause }) => cause),
    ['banned'],
  );
}

/** Between SUBSCRIBED and the word that changes flow nothing arrives; the row is read when it comes. */
async function silentJoin(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  browser.tap.holdFlow = true;
  using watched = new Watched(scene, browser);
  await watched.reach('seated', ({ seat }) => seat.status === 'seated');
  await until(
    'joined',
    setOutMs,
    () => browser.tap.seen.includes('phx_reply'),
    () => browser.tap.seen,
  );
  // the reading that a join may have set off is over, too
  await watched.watch.resync();
  await scene.stage.revoke(browser, 'spam');
  await until(
    'lost the event',
    setOutMs,
    () => browser.tap.lost > 0,
    () => browser.tap.seen,
  );
  browser.tap.holdFlow = false;
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
}

/** The server goes away, the seat is revoked meanwhile, the server comes back. */
async function awayDuringRevocation(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser);
  await watched.live('seated');
  await scene.stage.restartGateway(() => scene.stage.revoke(browser, 'while away'));
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
  expectEqual(
    'ejections',
    watched.ejections.map(({ reason }) => reason),
    ['while away'],
  );
}

/** The connection breaks and comes back while the row can be read all along. */
async function cutSocket(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser);
  await watched.live('seated');
  browser.tap.loseChanges = true;
  await scene.stage.revoke(browser, 'in the gap');
  await until(
    'lost the event',
    setOutMs,
    () => browser.tap.lost > 0,
    () => browser.tap.seen,
  );
  browser.tap.cut();
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
}

/** An event is lost although the connection is well: the poll finds out. */
async function lostEvent(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser, { pollMs: 300 });
  await watched.live('seated');
  browser.tap.loseChanges = true;
  await scene.stage.revoke(browser, 'unheard');
  await until(
    'lost the event',
    setOutMs,
    () => browser.tap.lost > 0,
    () => browser.tap.seen,
  );
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
}

/** A seat ends by the database's clock, whatever the device believes; an hour behind here. */
async function expiry(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  // time enough to be seen seated on a slow machine
  await scene.stage.grant(browser, 4_000);
  const clocks = { wallMs: () => Date.now() - 3_600_000, steadyMs: () => performance.now() };
  let isOver: Promise<unknown> | undefined;
  const onEject = () => {
    isOver ??= scene.stage.database.one(
      `select expires_at <= clock_timestamp() + make_interval(secs => $3 / 1000.0) from stream_seats
      where stream_id = $1 and user_id = $2`,
      [browser.streamId, browser.userId, clockSlackMs],
    );
  };
  using watched = new Watched(scene, browser, { clocks, onEject });
  await watched.reach('seated', ({ seat }) => seat.status === 'seated');
  await watched.until('expired', ({ seat }) => seat.status === 'lost' && seat.cause === 'expired');
  expectEqual('over, as the database sees it', await isOver, true);
  await watched.watch.resync();
  expectEqual(
    'ejections',
    watched.ejections.map(({ cause }) => cause),
    ['expired'],
  );
}

/** The page's own onEject throws: the stage is taken down all the same, the error is reported, the watch goes on. */
async function brokenPage(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  const broken = new Error('the page broke');
  const onEject = () => {
    throw broken;
  };
  using reported = new ReportedErrors(broken);
  using watched = new Watched(scene, browser, { onEject });
  await watched.live('seated');
  browser.tap.loseChanges = true;
  await scene.stage.revoke(browser, 'spam');
  // a fault may let the reading fail, too; what counts is what was told
  await watched.watch.resync().catch(() => {});
  expectEqual('told last', watched.views.at(-1)?.seat.status, 'banned');
  expectEqual('errors reported', reported.count, 1);
  await scene.stage.restore(browser);
  await watched.watch.resync();
  expectEqual('after the restore', watched.views.at(-1)?.seat.status, 'seated');
}

/** A viewer is given a seat without camera: that is given, too, so it counts when the row says so. */
async function mutedSeat(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  using watched = new Watched(scene, browser);
  await watched.live('none');
  const answer = Promise.withResolvers<void>();
  browser.beforeAnswer = (url) => (url.includes('my_stream_seat') ? answer.promise : Promise.resolve());
  await scene.stage.database.one('select grant_seat($1, $2, p_can_publish => false)', [
    browser.streamId,
    browser.userId,
  ]);
  await until(
    'told of the grant',
    setOutMs,
    () => browser.tap.seen.includes('postgres_changes'),
    () => browser.tap.seen,
  );
  expectEqual('by the event alone', watched.watch.view.seat.status, 'none');
  browser.beforeAnswer = undefined;
  answer.resolve();
  await watched.until('seated', ({ seat }) => seat.status === 'seated' && !seat.canPublish);
}

/** A reading that was on its way when the seat was revoked must not bring it back. */
async function overtakenReading(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser();
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser);
  await watched.live('seated');
  const answer = Promise.withResolvers<void>();
  let hasAnswered = false;
  browser.beforeAnswer = async (url) => {
    if (!url.includes('my_stream_seat')) return;
    hasAnswered = true;
    await answer.promise;
  };
  const reading = watched.watch.resync();
  await until(
    'answered',
    setOutMs,
    () => hasAnswered,
    () => watched.watch.view,
  );
  // from here on the answer is old
  await scene.stage.revoke(browser, 'meanwhile');
  await watched.reach('banned by the event', ({ seat }) => seat.status === 'banned');
  browser.beforeAnswer = undefined;
  answer.resolve();
  await reading;
  const statuses = watched.views.map(({ seat }) => seat.status);
  expectEqual('seated after banned', statuses.slice(statuses.indexOf('banned')).includes('seated'), false);
}

/** The server closes a channel whose token is over and supabase-js does not come back from that; the watch does. */
async function tokenOver(scene: Scene): Promise<void> {
  const browser = await scene.stage.browser({ tokenLifeS: 2 });
  await scene.stage.grant(browser);
  using watched = new Watched(scene, browser);
  await watched.live('seated');
  await until(
    'closed',
    setOutMs,
    () => browser.tap.seen.includes('phx_close'),
    () => browser.tap.seen,
  );
  await watched.until('live again', ({ connection }) => connection === 'live');
  await scene.stage.revoke(browser, 'later');
  await watched.until('banned', ({ seat }) => seat.status === 'banned');
}

export const scenarios = {
  'a moderator revokes': revocation,
  'a viewer is banned': bannedViewer,
  'banned before the page was opened': bannedBefore,
  'revoked between SUBSCRIBED and the word that changes flow': silentJoin,
  'revoked while the server was away': awayDuringRevocation,
  'revoked while the connection was broken': cutSocket,
  'the event is lost': lostEvent,
  'the seat expires, the device an hour behind': expiry,
  'onEject throws': brokenPage,
  'a viewer is given a seat without camera': mutedSeat,
  'the event overtakes a reading': overtakenReading,
  'the server closes the channel because the token is over': tokenOver,
};
