import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogue } from '../../../src/cli/catalogue.ts';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { ExitCode } from '../../../src/kernel/exit-codes.ts';
import { type RunOptions, runFake } from '../../unit/cli/fake-host.ts';
import { Provisioned } from '../database/provisioned.ts';

let db: Provisioned;
let ada: string;
let bob: string;
let stream: string;
beforeAll(async () => {
  db = await Provisioned.start();
  await db.pool.query('update gift_settings set fee_bps = 1000');
  const people = await db.realPeople(2, 1000);
  [ada, bob] = people.users as [string, string]; // two were asked for
  stream = people.stream;
  await db.pool.query("update profiles set username = case id when $1 then 'ada' else 'bob' end", [ada]);
  await db.pool.query("update streams set title = 'Friday'");
});
afterAll(async () => db?.[Symbol.asyncDispose]());

function trollfix(argv: readonly string[], options: Partial<RunOptions> = {}) {
  return runFake(argv, {
    env: {
      ...{
        USER: 'mod',
        TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:9',
        TROLLFIX_ANON_KEY: 'anon-key-of-a-test',
      },
      TROLLFIX_DATABASE_URL: db.postgres.databaseUrl,
    },
    ...options,
  });
}

/** The document of a `--json` run, its data checked against the schema that the command publishes. */
async function json(...argv: string[]) {
  const ran = await trollfix([...argv, '--json']);
  const spec = catalogue.find(({ path }) => path.join(' ') === argv.slice(0, path.length).join(' '));
  if (spec === undefined) throw new Error(`no command ${argv.join(' ')}`);
  const document = ran.json();
  expect(document.schema).toBe(`trollfix.${spec.kind}/v1`);
  if (document.data !== null) (await spec.dataSchema()).parse(document.data);
  // what it is was checked by the schema
  return { ...ran, document, data: document.data as Record<string, unknown> };
}

/** From ada to bob; gives the gift id. */
async function give(amount: number): Promise<string> {
  const giftId = randomUUID();
  await db.pool.query('select send_gifts($1)', [
    JSON.stringify([{ gift_id: giftId, sender_id: ada, receiver_id: bob, stream_id: stream, amount }]),
  ]);
  return giftId;
}

const drain = () => db.pool.query('call drain_gift_ledger()');
const balanceOf = (user: string) =>
  db.one<number>('select balance::int from wallets where user_id = $1', [user]);

describe('gift inspect', () => {
  it('tells of a gift that waits, is settled, fails and is taken back', async () => {
    const [paid, tooMuch] = [await give(100), await give(5000)];
    const waiting = await json('gift', 'inspect', tooMuch);
    expect(waiting.data).toMatchObject({
      ...{ status: 'pending', amount: 5000, decision: null, reversal: null, entries: [] },
      ...{ queue: { ahead: 1, waiting: 2 }, sender: { username: 'ada' }, stream: { title: 'Friday' } },
    });
    expect((await trollfix(['gift', 'inspect', tooMuch])).stdout).toContain('1 of 2 are ahead of it');
    await drain();
    const { data: settled } = await json('gift', 'inspect', paid);
    expect(settled).toMatchObject({
      ...{ status: 'settled', queue: null, giftId: paid },
      decision: { status: 'settled', fee: 10, batch: { source: 'cron', claimed: 2, settled: 1, failed: 1 } },
      entries: [
        { account: ada, kind: 'debit', amount: -100 },
        { kind: 'fee', amount: 10 },
        { account: bob, kind: 'credit', amount: 90 },
      ],
    });
    const failed = await trollfix(['gift', 'inspect', tooMuch]);
    expect(failed.stdout).toContain('failed: the sender had not enough coins left when its turn came');
    // by its place in the ledger too
    const bySeq = await json('gift', 'inspect', String(settled.seq));
    expect(bySeq.data).toMatchObject({ giftId: paid });
    await trollfix(['gift', 'reverse', paid, '--reason', 'sent twice', '--yes']);
    const { stdout } = await trollfix(['gift', 'inspect', paid]);
    expect(stdout).toMatch(/taken back by mod \(reversal \d+\): sent twice/);
    expect(stdout).toMatch(/ada +reversal credit +\+100/);
  });

  it('refuses what is no gift before it asks anybody, and says when there is none', async () => {
    expect(await trollfix(['gift', 'inspect', 'abc'])).toMatchObject({
      code: ExitCode.usage,
      stderr: expect.stringContaining('neither a gift id nor a seq'),
    });
    const unknown = await json('gift', 'inspect', randomUUID());
    expect(unknown).toMatchObject({ code: ExitCode.usage, document: { error: { code: 'TF-GIFT-006' } } });
  });
});

describe('gift reverse', () => {
  it('says who pays whom, moves it once, and has the first answer for whoever asks again', async () => {
    const gift = await give(200);
    await drain();
    const [adaHad, bobHad] = [await balanceOf(ada), await balanceOf(bob)];
    const dry = await trollfix(['gift', 'reverse', gift, '--reason', 'x', '--dry-run']);
    expect(dry.stdout).toContain(
      `would take back 200 coins from ada to bob on "Friday": bob (who has ${bobHad.toLocaleString('en-US')}) pays 180 and the platform its fee of 20 to ada`,
    );
    // nobody there to ask
    const unasked = await trollfix(['gift', 'reverse', gift, '--reason', 'x']);
    expect(unasked).toMatchObject({ code: ExitCode.refused, stderr: expect.stringContaining('pays 180') });
    expect([await balanceOf(ada), await balanceOf(bob)]).toEqual([adaHad, bobHad]);
    const done = await json('gift', 'reverse', gift, '--reason', 'a mistake', '--actor', 'eve', '--yes');
    expect(done.data).toMatchObject({
      ...{
        dryRun: false,
        gift: { status: 'reversed' },
        plan: { toSender: 200, fromReceiver: 180, fromPlatform: 20 },
      },
      reversal: { reason: 'a mistake', actor: 'eve', duplicate: false },
    });
    expect([await balanceOf(ada), await balanceOf(bob)]).toEqual([adaHad + 200, bobHad - 180]);
    const again = await json('gift', 'reverse', gift, '--reason', 'other words', '--yes');
    expect(again).toMatchObject({ code: ExitCode.ok });
    expect(again.data).toMatchObject({ reversal: { reason: 'a mistake', actor: 'eve', duplicate: true } });
    expect(await balanceOf(ada)).toBe(adaHad + 200);
    expect((await json('gift', 'audit')).data).toMatchObject({ violations: 0 });
  });

  it('refuses what would move nothing or could not be paid back, and needs a reason', async () => {
    const refusal = async (gift: string) => {
      const { code, document } = await json('gift', 'reverse', gift, '--reason', 'x', '--yes');
      return { code, message: document.error?.message };
    };
    const waiting = await give(10);
    expect(await refusal(waiting)).toMatchObject({
      code: ExitCode.refused,
      message: expect.stringContaining('pending'),
    });
    const failing = await give(100_000);
    await drain();
    expect(await refusal(failing)).toMatchObject({ message: expect.stringContaining('insufficient_funds') });
    const spent = await give(100);
    await drain();
    const bobHad = await balanceOf(bob);
    await db.pool.query('select send_gifts($1)', [
      JSON.stringify([
        { gift_id: randomUUID(), sender_id: bob, receiver_id: ada, stream_id: stream, amount: bobHad },
      ]),
    ]);
    await drain();
    expect(await refusal(spent)).toMatchObject({ message: expect.stringContaining('has 0 coins of the 90') });
    expect(await trollfix(['gift', 'reverse', spent])).toMatchObject({
      code: ExitCode.usage,
      stderr: expect.stringContaining('--reason'),
    });
  });

  it.each([
    ['--reason', 'x'.repeat(501)],
    ['--actor', ' '],
    ['--actor', 'x'.repeat(201)],
  ])('refuses a %s that the audit trail cannot hold before it asks anybody', async (flag, text) => {
    const argv = ['gift', 'reverse', randomUUID(), '--reason', 'x', '--yes', flag, text, '--json'];
    const ran = await trollfix(argv);
    expect(ran.code).toBe(ExitCode.usage);
    expect(ran.json().error).toMatchObject({
      code: 'TF-CLI-004',
      message: expect.stringContaining(flag),
    });
  });
});

describe('gift audit', () => {
  it('is 0 where all adds up, and 96 with the rows where it does not', async () => {
    const clean = await trollfix(['gift', 'audit']);
    expect(clean).toMatchObject({ code: ExitCode.ok });
    expect(clean.stdout).toContain('the cached top lists are those of the boards');
    await db.pool.query('update wallets set balance = balance + 7 where user_id = $1', [ada]);
    const broken = await trollfix(['gift', 'audit']);
    expect(broken).toMatchObject({
      code: ExitCode.invariant,
      stderr: expect.stringContaining('TF-GIFT-002'),
    });
    expect(broken.stdout).toMatch(/broken +coins in wallets and fees/);
    expect(broken.stdout).toContain(`user_id ${ada}`);
    expect(broken.stdout).toContain('difference 7');
    const document = await json('gift', 'audit', '--rows', '1');
    expect(document).toMatchObject({
      code: ExitCode.invariant,
      document: { ok: false },
      data: { violations: 2 },
    });
    await db.pool.query('update wallets set balance = balance - 7 where user_id = $1', [ada]);
  });

  it('of one run; a run that is not there is no clean one', async () => {
    const run = await db.run('audited', 3, { balance: 10 });
    const { data } = await json('gift', 'audit', '--run', run.runId);
    expect(data).toMatchObject({ runId: 'audited', counts: { wallets: 3, coinsHeld: 30 }, violations: 0 });
    expect(await json('gift', 'audit', '--run', 'gone')).toMatchObject({
      code: ExitCode.usage,
      document: { error: { code: 'TF-GIFT-004' } },
    });
  });
});

describe('gift backlog and drain', () => {
  it('say verdict and forecast in words, and chart the last runs', async () => {
    await give(1);
    const { data } = await json('gift', 'backlog', '--runs', '3');
    expect(data).toMatchObject({
      health: { backlog: 1 },
      settling: null,
      words: { verdict: expect.any(String) },
    });
    expect(data.runs).toHaveLength(3);
    const { stdout } = await trollfix(['gift', 'backlog']);
    expect(stdout).toMatch(/backlog after it +[▁-█]+ +at most/);
    expect(stdout).toMatch(/drained per s +[▁-█]+ +at most/);
  });

  it('refuse politely while another settles, and name it and since when', async () => {
    const holder = await db.session();
    await holder.query(
      "set application_name = 'the other one'; begin; select trollfix.try_settlement_lock()",
    );
    const refused = await json('gift', 'drain');
    expect(refused).toMatchObject({ code: ExitCode.refused });
    expect(refused.document.error).toMatchObject({
      code: 'TF-GIFT-001',
      message: expect.stringMatching(/pid \d+, the other one, for /),
      details: { application: 'the other one', since: expect.stringContaining('T') },
    });
    expect((await trollfix(['gift', 'backlog'])).stdout).toMatch(/settling now +pid \d+, the other one/);
    await holder.query('rollback');
    expect((await json('gift', 'drain')).data).toMatchObject({ claimed: 1, settled: 1, backlog: 0 });
  });

  it('the watching settler ends its run when it is told to stop, and says what it did', async () => {
    await give(1);
    const stop = new AbortController();
    const watching = trollfix(['settle', '--watch', '--every', '1m', '--json'], { interrupts: stop.signal });
    await expect.poll(() => db.one('select count(*)::int from gift_pending')).toBe(0);
    stop.abort(new TrollfixError('TF-CLI-008', 'terminated'));
    const ran = await watching;
    expect(ran.code).toBe(ExitCode.terminated);
    expect(ran.json().data).toMatchObject({ runs: 1, settled: 1, backlog: 0, disconnects: 0 });
    expect(await db.one('select count(*)::int from gift_batch_logs where finished_at is null')).toBe(0);
  });
});
