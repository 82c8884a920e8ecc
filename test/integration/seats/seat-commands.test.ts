import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogue } from '../../../src/cli/catalogue.ts';
import { systemClock } from '../../../src/kernel/clock.ts';
import type { SeatDesk } from '../../../src/ops/seat-desk.ts';
import { revokeSeat } from '../../../src/ops/seats.ts';
import { judgeDeparture } from '../../../src/probes/seat/victims.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { enterRoom } from '../../../src/target/livekit/signal-participant.ts';
import { runFake } from '../../unit/cli/fake-host.ts';
import { type SeatStage, startSeatStage } from './seat-stage.ts';

const ada = '33333333-3333-4333-8333-333333333333';
const stream = '11111111-1111-4111-8111-111111111111';

let stage: SeatStage;
beforeAll(async () => {
  stage = await startSeatStage();
  await stage.database.query(
    "insert into public.profiles (id, username, display_name) values ($1, 'ada', 'Ada Lovelace')",
    [ada],
  );
  await stage.database.query("insert into public.streams (id, owner_id, title) values ($1, $2, 'Friday')", [
    stream,
    ada,
  ]);
});
afterAll(() => stage[Symbol.asyncDispose]());

function trollfix(line: string, stdin?: string) {
  const { livekit, databaseUrl } = stage.target;
  return runFake(line.split(' '), {
    env: {
      USER: 'mod',
      TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:9',
      TROLLFIX_ANON_KEY: 'anon-key-of-a-test',
      TROLLFIX_DATABASE_URL: databaseUrl?.reveal() ?? '',
      TROLLFIX_LIVEKIT_URL: livekit?.url ?? '',
      TROLLFIX_LIVEKIT_API_KEY: livekit?.apiKey ?? '',
      TROLLFIX_LIVEKIT_API_SECRET: livekit?.apiSecret.reveal() ?? '',
    },
    ...(stdin === undefined ? {} : { stdin }),
  });
}

/** The document of a `--json` run, its data checked against the schema that the command publishes. */
async function json(line: string, stdin?: string) {
  const ran = await trollfix(`${line} --json`, stdin);
  const [noun, verb] = line.split(' ');
  const spec = catalogue.find(({ path }) => path.join(' ') === `${noun} ${verb}`);
  if (spec === undefined) throw new Error(`no command ${noun} ${verb}`);
  const document = ran.json();
  expect(document.schema).toBe(`trollfix.${spec.kind}/v1`);
  if (document.data !== null) (await spec.dataSchema()).parse(document.data);
  return { ...ran, document };
}

async function seatOfAda() {
  const { document } = await json(`seat list --stream ${stream} --user ada`);
  // checked against the schema just now
  const [seat] = (document.data as { seats: Array<{ expiresAt: string | null; lastSeenAt: string | null }> })
    .seats;
  if (seat === undefined) throw new Error('ada has no seat');
  return seat;
}

async function joinAs(user: string) {
  const token = (await trollfix(`token mint ${user} --stream ${stream} --quiet`)).stdout.trim();
  const { url } = stage.livekit.livekit;
  const outcome = await enterRoom({ url, token, door: { path: '/rtc' }, clock: systemClock });
  if (outcome.kind !== 'joined') throw new Error(`${user} could not join: ${outcome.kind}`);
  return outcome.participant;
}

/** Bans of these users, and how many transactions wrote them. */
async function bansOf(usernames: readonly string[]) {
  const { rows } = await stage.database.query<{ bans: number; transactions: number }>(
    `select count(*)::int as bans, count(distinct b.xmin::text)::int as transactions
       from stream_bans b join profiles p on p.id = b.user_id where p.username = any ($1)`,
    [usernames],
  );
  return rows[0];
}

describe('a moderator at the terminal', () => {
  it('grants, mints, is shown who is in the room, revokes and restores', async () => {
    const granted = await json(`seat grant ada --stream ${stream} --for 1h --reason talk`);
    expect(granted).toMatchObject({
      code: 0,
      document: { data: { before: null, seat: { state: 'active', role: 'speaker', grantedBy: 'cli:mod' } } },
    });

    const minted = await trollfix(`token mint ${ada} --stream ${stream} --quiet`);
    const token = minted.stdout.trim();
    expect(token).toMatch(/^eyJ[\w.-]+$/);
    const told = await trollfix(`token mint ada --stream ${stream}`);
    expect(told.stdout).toContain('canPublishSources camera+microphone');
    expect(told.stdout).toMatch(/until {3}20\d\d-.* \(60 s; LiveKit adds 60 s\)/);
    const inspected = await json('token inspect', token);
    expect(inspected).toMatchObject({
      code: 0,
      document: { data: { verdict: 'safe', signature: 'valid', identity: ada, room: stream } },
    });

    const outcome = await enterRoom({
      url: stage.livekit.livekit.url,
      token,
      door: { path: '/rtc' },
      clock: systemClock,
    });
    if (outcome.kind !== 'joined') throw new Error(`could not join: ${outcome.kind}`);
    const listed = await json(`seat list --stream ${stream}`);
    expect(listed.document.data).toMatchObject({ seats: [{ username: 'ada', inRoom: [ada] }] });

    const revoked = await trollfix(`seat revoke ada --stream ${stream} --reason spam --for 10m --yes`);
    expect(judgeDeparture(await outcome.participant.left).ejected).toBe(true);
    expect(revoked.code).toBe(0);
    expect(revoked.stdout).toContain('Ada Lovelace (ada)');
    for (const step of ['row durable', `LiveKit confirmed: removed ${ada}`, 'witness']) {
      expect(revoked.stdout).toContain(step);
    }

    const refused = await json(`token mint ada --stream ${stream}`);
    expect(refused).toMatchObject({ code: 5, document: { ok: false, error: { code: 'TF-TOK-002' } } });
    expect(refused.document.error?.message).toContain('banned');
    expect((await trollfix(`seat grant ada --stream ${stream}`)).code).toBe(5);

    const restored = await json(`seat restore ada --stream ${stream} --reason appeal`);
    expect(restored.document.data).toMatchObject({
      restored: { bansLifted: 1, seatActive: true },
      seat: { state: 'active', ban: null },
    });
  });

  it('is shown what a dry run would do, and nothing is done', async () => {
    const before = await json('seat list');
    for (const line of [
      `seat grant ada --stream ${stream} --role host --dry-run`,
      `seat revoke ada --stream ${stream} --reason spam --dry-run`,
      `seat restore ada --stream ${stream} --dry-run`,
    ]) {
      const ran = await json(line);
      expect(ran).toMatchObject({ code: 0, document: { data: { dryRun: true, user: { username: 'ada' } } } });
      expect((await trollfix(line)).stdout).toMatch(/^would /);
    }
    expect((await json('seat list')).document.data).toEqual(before.document.data);
  });

  it('is asked before a ban, with the name of whom it hits, and a no does nothing', async () => {
    const ran = await json(`seat revoke ada --stream ${stream} --reason spam --no-input`);
    expect(ran).toMatchObject({ code: 5, document: { error: { code: 'TF-CLI-005' } } });
    expect(ran.document.error?.message).toContain('Ada Lovelace');
    expect((await json('seat list')).document.data).toMatchObject({ seats: [{ ban: null }] });
  });

  it.each([
    [`seat revoke bob --stream ${stream} --reason x --yes`, 2, 'TF-SEAT-002'],
    ['seat revoke ada --stream nowhere --reason x --yes', 2, 'TF-SEAT-001'],
    ['seat revoke ada --reason x --yes', 2, 'TF-CLI-003'],
    [`seat revoke ada --stream ${stream} --yes`, 2, 'TF-CLI-003'],
    [`seat revoke ada --stream ${stream} --reason x --for 10 --yes`, 2, 'TF-CLI-004'],
    ['token inspect abc', 2, 'TF-TOK-001'],
  ])('%s: exit %i, %s', async (line, code, error) => {
    const ran = await trollfix(`${line} --json`);
    expect(ran.code).toBe(code);
    expect(ran.json().error?.code).toBe(error);
  });

  it('is told whom a mistyped name may have meant, and which users share one', async () => {
    await stage.database.query(
      "insert into public.profiles (id, username) select gen_random_uuid(), unnest(array['Grace', 'GRACE'])",
    );
    const mistyped = await json(`seat grant adda --stream ${stream} --dry-run`);
    expect(mistyped).toMatchObject({ code: 2, document: { error: { code: 'TF-SEAT-002' } } });
    expect(mistyped.document.error?.hint).toContain('`ada`');
    const several = await json(`seat grant grace --stream ${stream} --dry-run`);
    expect(several).toMatchObject({ code: 2, document: { error: { code: 'TF-SEAT-007' } } });
    expect(several.document.error?.message).toContain('GRACE');
    expect((await json(`seat grant ADA --stream ${stream} --dry-run`)).document.data).toMatchObject({
      user: { username: 'ada' },
    });
  });

  it('extends a seat, which never shortens it', async () => {
    await json(`seat grant ada --stream ${stream} --for 1h`);
    const before = (await seatOfAda()).expiresAt;
    const extended = await json(`seat extend ada --stream ${stream} --by 30m --reason encore`);
    const after = Date.parse((await seatOfAda()).expiresAt ?? '');
    expect(extended.code).toBe(0);
    expect(after - Date.parse(before ?? '')).toBe(30 * 60_000);
    for (const [flags, code] of [
      ['--for 1m', 'TF-SEAT-006'],
      ['', 'TF-CLI-003'],
      ['--for 2h --by 1h', 'TF-CLI-003'],
    ]) {
      const refused = await json(`seat extend ada --stream ${stream} ${flags}`.trim());
      expect(refused).toMatchObject({ code: 2, document: { error: { code } } });
    }
    expect((await json(`seat extend ada --stream ${stream} --no-end`)).code).toBe(0);
    expect((await seatOfAda()).expiresAt).toBeNull();
    const nobody = await json(`seat extend Grace --stream ${stream} --for 1h`);
    expect(nobody).toMatchObject({ code: 2, document: { error: { code: 'TF-SEAT-003' } } });
  });

  it('downgrades a seat: its holder is silenced in the room and stays in it', async () => {
    const participant = await joinAs('ada');
    const ran = await trollfix(`seat downgrade ada --stream ${stream} --reason noise --yes`);
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain(`LiveKit confirmed: silenced ${ada}`);
    const occupants = await liveKitAdmin(stage.livekit.livekit).occupants(stream);
    expect(occupants).toMatchObject([{ identity: ada, canPublish: false, canSubscribe: true }]);
    const again = await json(`seat downgrade ada --stream ${stream} --yes`);
    expect(again.document.data).toMatchObject({
      inRoom: [{ identity: ada, canPublish: false }],
      downgrade: { changed: false, ejection: { status: 'done', removed: [] } },
      seat: { state: 'active', canPublish: false },
    });
    await participant.close();
    await json(`seat grant ada --stream ${stream}`);
  });

  it('sees when somebody was last in the room', async () => {
    expect((await seatOfAda()).lastSeenAt).toBeNull();
    await stage.database.query('select touch_seats($1)', [
      JSON.stringify([{ stream_id: stream, user_id: ada }]),
    ]);
    expect((await seatOfAda()).lastSeenAt).not.toBeNull();
    expect((await trollfix('seat list')).stdout).toMatch(/LAST SEEN.*\n.*\ds ago/);
  });

  it('bans a list from stdin in one transaction, or nobody when a line is wrong', async () => {
    const raiders = Array.from({ length: 12 }, (_, i) => `raider${i}`);
    await stage.database.query(
      'insert into public.profiles (id, username) select gen_random_uuid(), unnest($1::text[])',
      [raiders],
    );
    for (const name of raiders.slice(0, 2)) await trollfix(`seat grant ${name} --stream ${stream}`);
    const inside = await Promise.all(raiders.slice(0, 2).map((name) => joinAs(name)));
    const line = `seat revoke - --stream ${stream} --reason raid`;

    const wrong = await json(`${line} --yes`, `# raid of friday\nraider1\nnobody\n\nraider22\n`);
    expect(wrong).toMatchObject({ code: 2, document: { error: { code: 'TF-SEAT-008' } } });
    expect(wrong.document.error?.why).toMatch(/line 3: no user "nobody"\nline 5: .*did you mean `raider2`/);
    expect(await bansOf(raiders)).toEqual({ bans: 0, transactions: 0 });
    expect(await json(line, raiders.join('\n'))).toMatchObject({
      code: 5,
      document: {
        error: { code: 'TF-CLI-005', message: expect.stringContaining('12 users (2 with a seat') },
      },
    });
    const dry = await json(`${line} --dry-run`, raiders.join('\n'));
    expect(dry.document.data).toMatchObject({ dryRun: true, bulk: { durableMs: null } });
    expect(await bansOf(raiders)).toEqual({ bans: 0, transactions: 0 });

    const ran = await json(`${line} --yes`, `${raiders.join('\r\n')}\nraider3\n`);
    expect(ran.code).toBe(0);
    expect(await bansOf(raiders)).toEqual({ bans: 12, transactions: 1 });
    const { bulk } = ran.document.data as { bulk: { results: Array<{ line: number }> } };
    expect(bulk.results.map((result) => result.line)).toEqual(raiders.map((_, i) => i + 1));
    expect(bulk.results[0]).toMatchObject({
      user: { username: 'raider0' },
      inRoom: [{ canPublish: true }],
      revocation: { ejection: { status: 'done', removed: [expect.any(String)] } },
    });
    for (const participant of inside) expect(judgeDeparture(await participant.left).ejected).toBe(true);
    const told = await trollfix(`${line} --yes`, 'raider0\n');
    expect(told.stdout).toContain('in one transaction');
    expect(told.stdout).toMatch(/1 {5}raider0 .*banned/);
  });

  it('bans though the database goes away right after: the outbox row stays for a guard, and that is said', async () => {
    const { database } = stage;
    const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    const query = (sql: string, values: unknown[]) =>
      sql.includes('complete_ejection') ? Promise.reject(lost) : database.query(sql, values);
    const desk: SeatDesk = {
      // as much of a pool as a desk uses
      database: { query } as unknown as SeatDesk['database'],
      ...{ livekit: liveKitAdmin(stage.livekit.livekit), clock: systemClock, actor: 'mod' },
      signal: AbortSignal.timeout(10_000),
    };
    const { rows } = await database.query("select id from profiles where username = 'Grace'");
    const userId: string = rows[0].id;
    const revocation = await revokeSeat(desk, { streamId: stream, userId, reason: 'spam', until: null });
    expect(revocation).toMatchObject({
      ejection: { status: 'done' },
      outboxProblem: expect.stringContaining('TF-DB-001'),
    });
    const { document } = await json(`seat list --stream ${stream} --user ${userId}`);
    expect(document.data).toMatchObject({ seats: [{ ban: { reason: 'spam' }, pendingEjections: 1 }] });
  });

  it('bans with LiveKit down: the rows hold, the ejection is said to be pending', async () => {
    stage.livekit.service.kill('SIGKILL');
    const ran = await json(`seat revoke ada --stream ${stream} --reason spam --yes`);
    expect(ran).toMatchObject({
      code: 0,
      document: {
        data: { revocation: { confirmedMs: null, cleanMs: null, ejection: { status: 'pending' } } },
      },
    });
    const listed = await json(`seat list --stream ${stream} --user ada`);
    expect(listed.document.data).toMatchObject({
      seats: [{ state: 'revoked', ban: { reason: 'spam' }, pendingEjections: 1, inRoom: null }],
    });
    expect((await trollfix(`seat list --stream ${stream}`)).stdout).toContain('rooms were not looked into');

    const line = `seat revoke ada --stream ${stream} --reason spam --yes`;
    expect((await trollfix(line)).stdout).toContain('no guard has been heard of');
    await stage.database.query("select guard_heartbeat('night-guard', '{}')");
    expect((await trollfix(line)).stdout).toContain('guard night-guard carries it out');
  });
});

describe('token inspect', () => {
  it('exits 99 for a token that never expires and rules the room', async () => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const video = { roomJoin: true, room: 'r', roomAdmin: true };
    const token = `${part({ alg: 'none' })}.${part({ sub: 'ada#x', video })}.`;
    const ran = await json('token inspect', token);
    expect(ran).toMatchObject({
      code: 99,
      document: { ok: false, data: { verdict: 'dangerous' }, error: { code: 'TF-TOK-003' } },
    });
    const told = await trollfix('token inspect', token);
    expect(told.stdout).toContain('DANGER   never expires');
    expect(`${told.stdout}${told.stderr}${ran.stdout}`).not.toContain(token.slice(0, 20));
  });
});
