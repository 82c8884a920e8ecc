import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as seatWatcher from '../../../src/app/seat-watcher.ts';
import { AppStage } from './app-stage.ts';
import { type Fault, importMutant } from './mutant.ts';
import { scenarios } from './seat-scenarios.ts';

let stage: AppStage;

beforeAll(async () => {
  stage = await AppStage.start();
});

afterAll(() => stage[Symbol.asyncDispose]());

/** Less than the poll takes that would make up for a fault. */
const faultPatienceMs = 2_000;
/** More than the seat has left, which would not have ended without the fault either. */
const expiryPatienceMs = 8_000;

type Name = keyof typeof scenarios;

const names = Object.keys(scenarios) as Name[]; // an object literal's own keys

describe('watchStreamSeat', () => {
  test.each(names)('%s', (name) => scenarios[name]({ stage, watcher: seatWatcher, patienceMs: 20_000 }));

  test('after stop nothing is told, and stopping again is nothing', async () => {
    const browser = await stage.browser();
    await stage.grant(browser);
    const told: string[] = [];
    const watch = seatWatcher.watchStreamSeat({
      ...browser,
      onChange: ({ seat }) => told.push(seat.status),
      onEject: () => told.push('ejected'),
    });
    await expect.poll(() => watch.view.connection).toBe('live');
    watch.stop();
    watch.stop();
    const before = told.length;
    await stage.revoke(browser, 'unheard');
    // the row says so, so whatever would have been told has been
    await expect
      .poll(
        async () =>
          (await browser.supabase.rpc('my_stream_seat', { p_stream_id: browser.streamId })).data.seat.state,
      )
      .toBe('revoked');
    expect(told.length).toBe(before);
    await expect.poll(() => browser.supabase.getChannels()).toEqual([]);
  });

  test('a client that is signed in as somebody else is told nothing of its own seat', async () => {
    const browser = await stage.browser();
    const other = await stage.browser({ of: browser });
    await stage.grant(browser);
    const watch = seatWatcher.watchStreamSeat({ ...browser, supabase: other.supabase });
    await expect.poll(() => watch.view.trouble).toMatch(/not signed in as/);
    expect(watch.view.seat.status).toBe('loading');
    watch.stop();
  });
});

// at the same time: each one is waiting for what never comes
describe.concurrent('a planted fault is caught', () => {
  const faults: ReadonlyArray<readonly [string, Name, readonly Fault[]]> = [
    [
      'the ban is ignored',
      'a viewer is banned',
      [
        {
          file: 'seat-state.ts',
          find: 'if (ban !== null && !(banEndMs(ban) <= nowMs))',
          replace: 'if (ban !== null && nowMs < 0)',
        },
      ],
    ],
    [
      'bans are not listened to',
      'a viewer is banned',
      [{ file: 'seat-watcher.ts', find: "on('stream_bans', (row) => this.#onBanRow(row));", replace: '' }],
    ],
    [
      'nothing is read after a reconnect',
      'revoked while the connection was broken',
      [{ file: 'seat-watcher.ts', find: 'if (flows) void this.resync();', replace: 'if (flows) return;' }],
    ],
    [
      'SUBSCRIBED is taken for changes that flow',
      'revoked between SUBSCRIBED and the word that changes flow',
      [
        {
          file: 'live-channel.ts',
          find: 'if (this.#joined) return;',
          replace: 'if (this.#joined) return this.#setFlows(true);',
        },
      ],
    ],
    [
      'there is no poll',
      'the event is lost',
      [
        {
          file: 'seat-watcher.ts',
          find: 'this.#pollTimer = setTimeout(() => void this.resync(), waitMs);',
          replace: 'void waitMs;',
        },
      ],
    ],
    [
      "the device's clock is believed",
      'the seat expires, the device an hour behind',
      [
        {
          file: 'server-clock.ts',
          find: 'if (sample === undefined) return',
          replace: 'if (sample !== null) return',
        },
      ],
    ],
    [
      'onEject is called without a guard',
      'onEject throws',
      [
        {
          file: 'seat-watcher.ts',
          find: 'callApp(this.#options.onEject, ejection)',
          replace: 'this.#options.onEject?.(ejection)',
        },
      ],
    ],
    [
      'a seat without camera is believed before it is read',
      'a viewer is given a seat without camera',
      [
        {
          file: 'seat-watcher.ts',
          find: "!seat.canPublish && this.#view.seat.status === 'seated'",
          replace: '!seat.canPublish',
        },
      ],
    ],
    [
      'a reading that an event overtook is believed',
      'the event overtakes a reading',
      [{ file: 'seat-watcher.ts', find: 'if (changesSeen === this.#changesSeen) this', replace: 'this' }],
    ],
    [
      'a closed channel stays closed',
      'the server closes the channel because the token is over',
      [
        {
          file: 'live-channel.ts',
          find: "if (status === 'CLOSED') this.#retry();",
          replace: 'if (this.#stopped) return;',
        },
        {
          file: 'live-channel.ts',
          find: "if (payload.status === 'error') this.#retry();",
          replace: 'if (this.#stopped) return;',
        },
      ],
    ],
  ];

  test.each(faults)('%s', async (_, name, planted) => {
    const watcher = await importMutant<typeof seatWatcher>('seat-watcher.ts', planted);
    const isExpiry = name === 'the seat expires, the device an hour behind';
    const patienceMs = isExpiry ? expiryPatienceMs : faultPatienceMs;
    await expect(scenarios[name]({ stage, watcher, patienceMs })).rejects.toThrow(
      /never banned|never expired|never live|instead of/,
    );
  });
});
