import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { sleep, systemClock } from '../../../src/kernel/clock.ts';
import { pollUntil } from '../../../src/kernel/deadline.ts';
import { silentLogger } from '../../../src/kernel/log.ts';
import type { SeatDesk } from '../../../src/ops/seat-desk.ts';
import {
  createSeatEnforcer,
  type EjectionReport,
  type SeatEnforcer,
} from '../../../src/ops/seat-enforcer.ts';
import { listSeats } from '../../../src/ops/seat-lookup.ts';
import { grantSeat, restoreSeat, revokeSeat } from '../../../src/ops/seats.ts';
import { mintSeatToken } from '../../../src/ops/tokens.ts';
import { awaitEjection, judgeDeparture } from '../../../src/probes/seat/victims.ts';
import { openSeatCohort, type SeatCohort } from '../../../src/probes/seat-cohort.ts';
import { liveKitAdmin } from '../../../src/target/livekit/admin.ts';
import { enterRoom, type SignalDoor } from '../../../src/target/livekit/signal-participant.ts';
import { type SeatStage, startSeatStage } from './seat-stage.ts';

let stage: SeatStage;
let cohort: SeatCohort;
let streamId: string;
let ada: string;
let bob: string;
let enforcer: SeatEnforcer;
let reports: EjectionReport[];
let desk: SeatDesk;

beforeAll(async () => {
  stage = await startSeatStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

beforeEach(async () => {
  cohort = await openSeatCohort(stage.probeContext(), { users: 2, streams: 1, name: 'enforcer' });
  [ada = '', bob = ''] = cohort.users.map(({ id }) => id);
  [streamId = ''] = cohort.streams;
  reports = [];
  enforcer = createSeatEnforcer({
    database: stage.database,
    livekit: liveKitAdmin(stage.livekit.livekit),
    clock: systemClock,
    log: silentLogger,
    onEjected: (report) => reports.push(report),
  });
  desk = {
    database: stage.database,
    livekit: liveKitAdmin(stage.livekit.livekit),
    clock: systemClock,
    signal: AbortSignal.timeout(60_000),
    actor: 'test',
  };
});
afterEach(async () => {
  await enforcer.stop();
  await cohort.close();
});

/** In the room with the token the policy gives. */
async function seated(userId: string, door: SignalDoor = { path: '/rtc' }) {
  const { livekit } = stage.livekit;
  const minted = await mintSeatToken(stage.database, livekit, { streamId, userId, nowMs: Date.now() });
  const outcome = await enterRoom({ url: livekit.url, token: minted.token, door, clock: systemClock });
  if (outcome.kind !== 'joined') throw new Error(`could not join: ${JSON.stringify(outcome)}`);
  return { participant: outcome.participant, token: minted.token };
}

async function identities(): Promise<string[]> {
  const occupants = await liveKitAdmin(stage.livekit.livekit).occupants(streamId);
  return occupants.map(({ identity }) => identity).sort();
}

function openEjections(userId: string): Promise<number> {
  return stage.database
    .query<{ open: number }>(
      'select count(*)::int as open from public.seat_ejections where stream_id = $1 and user_id = $2 and done_at is null',
      [streamId, userId],
    )
    .then(({ rows }) => rows[0]?.open ?? -1);
}

const untilDone = (userId: string) =>
  pollUntil(async () => ((await openEjections(userId)) === 0 ? true : undefined), {
    ms: 15_000,
    everyMs: 20,
    what: 'the outbox to be worked off',
  });

describe('the seat enforcer', () => {
  it('ejects on revocation, aliases too, and nobody else', async () => {
    await cohort.grant(streamId, [ada, bob]);
    await enforcer.start();
    const own = await seated(ada);
    const alias = await seated(ada, { path: '/rtc', publishAlias: 'x' });
    const other = await seated(bob);
    expect(await identities()).toEqual([ada, `${ada}#x`, bob].sort());

    await cohort.revoke(streamId, [ada]);
    expect(await awaitEjection(own.participant, 5_000)).toMatchObject({ ejected: true });
    expect(await awaitEjection(alias.participant, 5_000)).toMatchObject({ ejected: true });
    await untilDone(ada);
    expect(await identities()).toEqual([bob]);
    expect(reports.find(({ cause }) => cause === 'revoked')).toMatchObject({
      userId: ada,
      outcome: { kind: 'clean' },
    });
    await other.participant.close();
  });

  it('ejects when a seat runs out, by the database, and not before', async () => {
    const expiresAt = new Date(Date.now() + 1_500);
    await cohort.grant(streamId, [ada], { expiresAt });
    await enforcer.start();
    const { participant } = await seated(ada);
    expect(await awaitEjection(participant, 10_000)).toMatchObject({ ejected: true });
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
    await untilDone(ada);
    const [seat] = await listSeats(desk, { streamId, userIds: [ada] });
    expect(seat).toMatchObject({ state: 'expired', ban: null });
    // the seat is over, watching is not
    const viewer = await seated(ada);
    expect(viewer.participant.canPublish).toBe(false);
    await viewer.participant.close();
  });

  it('ejects after LiveKit was down: the ban held, the ejection waited in the outbox', async () => {
    await cohort.grant(streamId, [ada]);
    await enforcer.start();
    const { participant, token } = await seated(ada);
    stage.livekit.service.kill('SIGKILL');
    expect(judgeDeparture(await participant.left).ejected).toBe(false);

    const revocation = await revokeSeat(desk, { streamId, userId: ada, reason: 'spam', until: null });
    expect(revocation.ejection).toMatchObject({ status: 'pending' });
    expect(revocation.confirmedMs).toBeNull();
    const { livekit } = stage.livekit;
    await expect(
      mintSeatToken(stage.database, livekit, { streamId, userId: ada, nowMs: Date.now() }),
    ).rejects.toMatchObject({ code: 'TF-TOK-002' });
    expect(await openEjections(ada)).toBe(1);

    await stage.livekit.service.restart(AbortSignal.timeout(20_000));
    // a client that comes straight back with its old token is the reason why the outbox must be worked off
    const back = await enterRoom({ url: livekit.url, token, door: { path: '/rtc' }, clock: systemClock });
    if (back.kind === 'joined') {
      expect(await awaitEjection(back.participant, 15_000)).toMatchObject({ ejected: true });
    }
    await untilDone(ada);
    expect(await identities()).toEqual([]);
  });

  it('does not hang on a frozen LiveKit, and works on when it wakes', async () => {
    await cohort.grant(streamId, [ada]);
    await enforcer.start();
    const { participant } = await seated(ada);
    stage.livekit.service.kill('SIGSTOP');
    try {
      await cohort.revoke(streamId, [ada]);
      await pollUntil(() => (enforcer.stats().failed > 0 ? true : undefined), {
        ms: 10_000,
        everyMs: 20,
        what: 'the enforcer to give the call up',
      });
      expect(await openEjections(ada)).toBe(1);
    } finally {
      stage.livekit.service.kill('SIGCONT');
    }
    expect(await awaitEjection(participant, 15_000)).toMatchObject({ ejected: true });
    await untilDone(ada);
  });

  it('takes out a banned user who comes back, again and again', async () => {
    await cohort.grant(streamId, [ada]);
    await enforcer.start();
    const { participant, token } = await seated(ada);
    await cohort.revoke(streamId, [ada]);
    await awaitEjection(participant, 5_000);
    await untilDone(ada);
    for (let round = 0; round < 2; round++) {
      const { url } = stage.livekit.livekit;
      const back = await enterRoom({ url, token, door: { path: '/rtc' }, clock: systemClock });
      if (back.kind !== 'joined') throw new Error('LiveKit 1.11.0 lets the old token in');
      expect(await awaitEjection(back.participant, 10_000)).toMatchObject({ ejected: true });
    }
    // both returns may fall into one reconciliation: the second is then found by its witness
    await pollUntil(() => (reports.some(({ cause }) => cause === 'reconciled') ? true : undefined), {
      ms: 5_000,
      everyMs: 20,
      what: 'the reconciliation to be reported',
    });
    expect(await identities()).toEqual([]);
  });

  it('finds what happened while it was not there', async () => {
    await cohort.grant(streamId, [ada]);
    const { participant } = await seated(ada);
    await cohort.revoke(streamId, [ada]);
    await enforcer.start();
    expect(await awaitEjection(participant, 10_000)).toMatchObject({ ejected: true });
    await untilDone(ada);
  });

  it('listens again after its connection was cut', async () => {
    await cohort.grant(streamId, [ada]);
    await enforcer.start();
    const { participant } = await seated(ada);
    await stage.database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query ilike 'listen %'",
    );
    await cohort.revoke(streamId, [ada]);
    expect(await awaitEjection(participant, 10_000)).toMatchObject({ ejected: true });
    await untilDone(ada);
  });

  it('leaves somebody alone who was restored before it came by', async () => {
    await cohort.grant(streamId, [ada]);
    const { participant } = await seated(ada);
    await cohort.revoke(streamId, [ada]);
    await restoreSeat(desk, { streamId, userId: ada, reason: null });
    await enforcer.start();
    expect(await awaitEjection(participant, 3_000)).toMatchObject({ ejected: false });
    expect(await openEjections(ada)).toBe(0);
    await participant.close();
  });

  it('rests when somebody else did what it had failed at, and while the database is down', async () => {
    await cohort.grant(streamId, [ada, bob]);
    await enforcer.start();
    stage.livekit.service.kill('SIGKILL');
    await cohort.revoke(streamId, [ada, bob]);
    await pollUntil(() => (enforcer.stats().failed > 1 ? true : undefined), {
      ms: 10_000,
      everyMs: 20,
      what: 'the ejections to fail',
    });
    // bob's stays: its next try comes due while nobody can be asked
    await restoreSeat(desk, { streamId, userId: ada, reason: null });
    expect(await openEjections(ada)).toBe(0);
    const queries = vi.spyOn(stage.database, 'query');
    try {
      await sleep(2_500);
      expect(queries.mock.calls.length, 'about ten for each second').toBeLessThan(40);
      stage.postgres.service.kill('SIGKILL');
      await sleep(1_000);
      queries.mockClear();
      await sleep(2_500);
      expect(queries.mock.calls.length, 'one or two for each second').toBeLessThan(15);
    } finally {
      queries.mockRestore();
      await stage.postgres.service.restart(AbortSignal.timeout(60_000));
      await stage.livekit.service.restart(AbortSignal.timeout(20_000));
    }
    await untilDone(bob);
  });

  it('start and stop are idempotent and leave nothing listening', async () => {
    await enforcer.start();
    await enforcer.start();
    await enforcer.stop();
    await enforcer.stop();
    // the server ends its side a moment after the socket closed
    await pollUntil(
      async () => {
        const { rows } = await stage.database.query<{ listeners: number }>(
          "select count(*)::int as listeners from pg_stat_activity where query ilike 'listen %'",
        );
        return rows[0]?.listeners === 0 ? true : undefined;
      },
      { ms: 5_000, everyMs: 20, what: 'the listening connection to be gone' },
    );
  });
});

describe('a moderator', () => {
  it('revokes without any enforcer: rows first, then LiveKit, then the witness', async () => {
    await grantSeat(desk, {
      ...{ streamId, userId: ada, role: 'speaker', canPublish: true, expiresAt: null, reason: null },
    });
    const { participant } = await seated(ada);
    const revocation = await revokeSeat(desk, {
      ...{ streamId, userId: ada, reason: 'spam' },
      until: new Date(Date.now() + 60_000),
    });
    expect(await awaitEjection(participant, 5_000)).toMatchObject({ ejected: true });
    expect(revocation.ejection).toEqual({ status: 'done', removed: [ada] });
    const { durableMs, confirmedMs, cleanMs } = revocation;
    expect(durableMs).toBeLessThanOrEqual(confirmedMs ?? Number.NaN);
    expect(confirmedMs).toBeLessThanOrEqual(cleanMs ?? Number.NaN);
    expect(await openEjections(ada)).toBe(0);
    const [seat] = await listSeats(desk, { streamId, userIds: [ada] });
    expect(seat).toMatchObject({ state: 'revoked', revokedBy: 'test', ban: { reason: 'spam' } });
  });

  it('bans a viewer who has no seat, and is refused a grant until the ban is lifted', async () => {
    const { participant } = await seated(bob);
    await revokeSeat(desk, { streamId, userId: bob, reason: 'spam', until: null });
    expect(await awaitEjection(participant, 5_000)).toMatchObject({ ejected: true });
    const seat = { streamId, userId: bob, role: 'guest', canPublish: true, expiresAt: null, reason: null };
    await expect(grantSeat(desk, seat)).rejects.toMatchObject({ code: 'TF-SEAT-004' });
    const { restored } = await restoreSeat(desk, { streamId, userId: bob, reason: 'appeal' });
    expect(restored).toEqual({ bansLifted: 1, seatActive: false });
    expect(await grantSeat(desk, seat)).toMatchObject({ state: 'active', role: 'guest' });
  });
});
