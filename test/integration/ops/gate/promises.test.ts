import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../src/kernel/clock.ts';
import { silentLogger } from '../../../../src/kernel/log.ts';
import { createSeatTable } from '../../../../src/ops/guard/seat-table.ts';
import { liveKitAdmin } from '../../../../src/target/livekit/admin.ts';
import { enterRoom } from '../../../../src/target/livekit/signal-participant.ts';
import { enterByWhip } from '../../../../src/target/livekit/whip.ts';
import { type GateStage, quickToCut, startGateStage } from './gate-stage.ts';
import { loadMutant, type Mutation, removeMutants } from './mutant.ts';
import { afterBan, afterDowngrade } from './promises.ts';
import { banWhileAway, wiredTable } from './table-stage.ts';

let stage: GateStage;
beforeAll(async () => {
  stage = await startGateStage();
});
afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await removeMutants();
});

describe('whoever may come in does', () => {
  it.each(['/rtc', '/rtc/v1'] as const)(
    'a viewer by %s, and with the token LiveKit gave them',
    async (path) => {
      const { stream, users } = await stage.cast(1);
      const enter = (token: string) =>
        enterRoom({ url: stage.gate.url, token, door: { path }, clock: systemClock });
      const outcome = await enter(await stage.token({ room: stream, sub: users[0] ?? '' }));
      expect(outcome).toMatchObject({
        kind: 'joined',
        participant: { identity: users[0], canPublish: false },
      });
      if (outcome.kind !== 'joined') return;
      await expect.poll(() => outcome.participant.refreshToken()).not.toBeNull();
      const again = await enter(outcome.participant.refreshToken() ?? '');
      expect(again).toMatchObject({ kind: 'joined', participant: { identity: users[0] } });
      if (again.kind === 'joined') await again.participant.close();
      await outcome.participant.close();
      await expect.poll(() => stage.gate.stats().open).toBe(0);
    },
  );

  it('whoever was seated or restored this instant, before the change can have got here', async () => {
    const { stream, users } = await stage.cast(20);
    const enter = async (user: string, by: string) => {
      const token = await stage.token(
        { room: stream, sub: user },
        { canPublish: true, canPublishData: true },
      );
      await stage.sql(by, [stream, user]);
      const outcome = await enterRoom({
        url: stage.gate.url,
        token,
        door: { path: '/rtc' },
        clock: systemClock,
      });
      if (outcome.kind === 'joined') await outcome.participant.close();
      return outcome.kind;
    };
    for (const user of users) expect(await enter(user, 'select grant_seat($1, $2)')).toBe('joined');
    await stage.sql("select revoke_seat($1, u, 'test') from unnest($2::uuid[]) u", [stream, users]);
    for (const user of users) expect(await enter(user, 'select restore_seat($1, $2)')).toBe('joined');
  });

  it('a speaker by WHIP, and out again', async () => {
    const { stream, users } = await stage.cast(1);
    const user = users[0] ?? '';
    await stage.sql('select grant_seat($1, $2)', [stream, user]);
    const token = await stage.token({ room: stream, sub: user }, { canPublish: true, canPublishData: true });
    const whip = await enterByWhip(stage.gate.url, token);
    expect(whip).toMatchObject({ kind: 'admitted', status: 201 });
    const occupants = async () => (await liveKitAdmin(stage.livekit.livekit).occupants(stream)).length;
    expect(await occupants()).toBe(1);
    if (whip.kind === 'admitted') await whip.leave();
    await expect.poll(occupants).toBe(0);
  });

  it('whom LiveKit itself refuses hears it from LiveKit', async () => {
    const { stream, users } = await stage.cast(1);
    const token = await stage.token({ room: stream, sub: users[0] ?? '' });
    const response = await fetch(
      `${stage.gate.url.replace('ws', 'http')}/rtc/v1/validate?access_token=${token}`,
    );
    expect([response.status, await response.text()]).toEqual([400, 'join_request is required']);
  });
});

describe('behind the gate', () => {
  it('a banned speaker is out, alias and all, and no door opens again with any token', async () => {
    expect(await afterBan(stage, stage.gate.url)).toEqual([]);
  });

  it('a downgraded speaker does not publish again with any token', async () => {
    expect(await afterDowngrade(stage, stage.gate.url)).toEqual([]);
  });
});

// the same checks against a gate with one promise taken away: they must find it
describe('a gate that forgets is found out', () => {
  async function behindMutant(
    name: string,
    mutation: Mutation,
    check: (stage: GateStage, url: string) => Promise<string[]>,
  ): Promise<string[]> {
    const { startGate } = await loadMutant(name, mutation);
    const { url: upstream, apiKey, apiSecret } = stage.livekit.livekit;
    const gate = await startGate({
      listen: { host: '127.0.0.1', port: 0 },
      table: stage.table,
      failOpen: false,
      limits: quickToCut,
      clock: systemClock,
      log: silentLogger,
      upstream,
      apiKey,
      apiSecret,
    });
    try {
      return await check(stage, gate.url);
    } finally {
      await gate.stop();
    }
  }

  it.each<[string, string, Mutation, Parameters<typeof behindMutant>[2], RegExp]>([
    [
      'that an alias is its user',
      'alias',
      {
        file: 'admission.ts',
        from: "const [userId = ''] = textOf(claims.sub).split('#', 1);\n  if (!uuidPattern.test(userId))",
        to: 'const userId = textOf(claims.sub);\n  if (!uuidPattern.test(userId.slice(0, 36)))',
      },
      afterBan,
      /^viewer alias .*: joined$/,
    ],
    [
      'to ask for bans',
      'ban',
      { file: 'admission.ts', from: 'if (isBanned(standing, nowMs)) {', to: 'if (false) {' },
      afterBan,
      /^viewer .*: joined$/,
    ],
    [
      'WHIP',
      'whip',
      { file: 'gate-route.ts', from: "POST: 'judged'", to: "POST: 'open'" },
      afterBan,
      /^original \/whip\/v1: /,
    ],
    [
      'who is inside already',
      'cut',
      { file: 'gate.ts', from: 'if (!this.#judge.isBanned(pair)) continue;', to: 'continue;' },
      afterBan,
      /^the session alias goes on$/,
    ],
    [
      'that a seat can be lost without a ban',
      'seat',
      {
        file: 'admission.ts',
        from: 'if (publishes && !maySpeak(standing, nowMs))',
        to: 'if (publishes && standing.seat === null)',
      },
      afterDowngrade,
      /: (joined|admitted)$/,
    ],
  ])('%s', async (_what, name, mutation, check, finding) => {
    expect(await behindMutant(name, mutation, check)).toContainEqual(expect.stringMatching(finding));
  });
});

describe('a seat table that forgets is found out', () => {
  it('to look again after it was away', async () => {
    const mutant = await loadMutant('reload', {
      file: 'seat-table-feed.ts',
      from: 'let reloadAtMs = 0;',
      to: 'this.#loaded = this.#loads > 0;\n    let reloadAtMs = this.#loaded ? clock.monotonicMs() + reloadMs : 0;',
    });
    await using wired = await wiredTable(stage.db, mutant.createSeatTable);
    await wired.table.start();
    const { stream, users } = await stage.cast(1);
    const pair = { stream, user: users[0] ?? '' };
    expect(await banWhileAway(wired, stage.db, pair, 'cut')).toContain('no ban');
  });
});

describe('while the table is away', () => {
  it('nobody comes in; a gate that fails open lets in who is not known to be banned', async () => {
    const { stream, users } = await stage.cast(2);
    const [viewer = '', troll = ''] = users;
    await stage.sql("select revoke_seat($1, $2, 'test')", [stream, troll]);
    await using wired = await wiredTable(stage.db, createSeatTable);
    await wired.table.start();
    wired.wire.cut();
    await expect.poll(() => wired.table.status().ready).toBe(false);
    const outcomes: unknown[] = [];
    for (const failOpen of [false, true]) {
      const gate = await stage.startGate({ table: wired.table, failOpen });
      for (const sub of [viewer, troll]) {
        const token = await stage.token({ room: stream, sub });
        const outcome = await enterRoom({ url: gate.url, token, door: { path: '/rtc' }, clock: systemClock });
        outcomes.push(outcome.kind === 'refused' ? outcome.status : outcome.kind);
        if (outcome.kind === 'joined') await outcome.participant.close();
      }
    }
    expect(outcomes).toEqual([503, 403, 'joined', 403]);
  });
});
