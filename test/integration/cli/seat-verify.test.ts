import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataSchema } from '../../../src/cli/outputs/seat-verify.ts';
import { ReleaseStack } from '../../../src/kernel/release-stack.ts';
import { runFake } from '../../unit/cli/fake-host.ts';
import { stageEnforcer, startStageGate } from '../seats/guarded-stage.ts';
import { type SeatStage, startSeatStage } from '../seats/seat-stage.ts';

const stream = '11111111-1111-4111-8111-111111111111';
const owner = '33333333-3333-4333-8333-333333333333';

const release = new ReleaseStack(() => {});
let stage: SeatStage;
let gateUrl: string;

beforeAll(async () => {
  stage = await startSeatStage();
  release.add('stage', async () => stage[Symbol.asyncDispose]());
  const gate = await startStageGate(stage);
  release.add('gate', async () => gate[Symbol.asyncDispose]());
  gateUrl = gate.url;
  const enforcer = stageEnforcer(stage);
  await enforcer.start();
  release.add('enforcer', () => enforcer.stop());
  await stage.database.query("insert into profiles (id, username) values ($1, 'ada')", [owner]);
  await stage.database.query("insert into streams (id, owner_id, title) values ($1, $2, 'Friday')", [
    stream,
    owner,
  ]);
});
afterAll(() => release.release());

function verify(flags: string, gate = true) {
  const { livekit, databaseUrl, jwtSecret, tokenEndpoint } = stage.target;
  return runFake(`seat verify --quick ${flags}`.trim().split(' '), {
    env: {
      TROLLFIX_SUPABASE_URL: 'http://127.0.0.1:9',
      TROLLFIX_ANON_KEY: 'anon-key-of-a-test',
      TROLLFIX_JWT_SECRET: jwtSecret?.reveal() ?? '',
      TROLLFIX_DATABASE_URL: databaseUrl?.reveal() ?? '',
      TROLLFIX_LIVEKIT_URL: livekit?.url ?? '',
      ...(gate ? { TROLLFIX_LIVEKIT_GATE_URL: gateUrl } : {}),
      TROLLFIX_LIVEKIT_API_KEY: livekit?.apiKey ?? '',
      TROLLFIX_LIVEKIT_API_SECRET: livekit?.apiSecret.reveal() ?? '',
      TROLLFIX_TOKEN_ENDPOINT: tokenEndpoint ?? '',
    },
  });
}

const syntheticRows = async () => {
  const { rows } = await stage.database.query<{ left: number }>(
    `select ((select count(*) from profiles where run_id is not null)
       + (select count(*) from seat_events) + (select count(*) from stream_seats))::int as left`,
  );
  return rows[0]?.left;
};

describe('seat verify', () => {
  it('on a real stream, behind a gate: held, with exit code 0, and nothing is left of it', async () => {
    const ran = await verify(`--stream ${stream} --yes`);
    expect(ran.code).toBe(0);
    for (const words of ['"Friday"', 'AFTER A BAN', 'AFTER A DOWNGRADE', 'AFTER THE SEAT RAN OUT']) {
      expect(ran.stdout).toContain(words);
    }
    expect(ran.stdout).toMatch(/HELD: all 48 ways back are shut/);
    expect(ran.stdout).toMatch(/LiveKit itself .* must not be reachable by clients/);
    expect(ran.stdout).toMatch(/--quick: .* was not tried/);
    expect(ran.stdout).not.toContain('eyJ');
    expect(await syntheticRows()).toBe(0);
  });

  it('without a gate: open, with exit code 99, and the samples in the document', async () => {
    const ran = await verify('--json', false);
    const document = ran.json();
    expect(ran.code).toBe(99);
    expect(document).toMatchObject({ ok: false, error: { code: 'TF-SEAT-009' } });
    const data = dataSchema.parse(document.data);
    expect(data).toMatchObject({ verdict: 'open', entry: 'livekit', urls: { gate: null }, stream: null });
    expect(data.samples).toHaveLength(48);
    expect(await syntheticRows()).toBe(0);
  });

  it('asks before it enters a real room, and refuses one where nobody can have a seat', async () => {
    const asked = await verify(`--stream ${stream} --no-input --json`);
    expect(asked).toMatchObject({ code: 5 });
    expect(asked.json().error?.message).toContain('"Friday"');
    await stage.database.query("update streams set status = 'ended' where id = $1", [stream]);
    expect((await verify(`--stream ${stream} --yes --json`)).json().error?.code).toBe('TF-SEAT-004');
    expect((await verify('--stream 1111 --yes --json')).json().error?.code).toBe('TF-SEAT-001');
    expect(await syntheticRows()).toBe(0);
  });
});
