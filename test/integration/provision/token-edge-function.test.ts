import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeJwt } from 'jose';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/kernel/package-root.ts';
import { ReleaseStack } from '../../../src/kernel/release-stack.ts';
import { openSeatCohort } from '../../../src/probes/seat-cohort.ts';
import { castScene, castSize } from '../../../src/probes/token/cast.ts';
import { hostileCases } from '../../../src/probes/token/hostile-cases.ts';
import { attackOwnEndpoint } from '../../../src/probes/token/own-endpoint.ts';
import { forgersKeys } from '../../../src/probes/token/scene.ts';
import { exportSupabase } from '../../../src/provision/export-supabase.ts';
import { requestToken } from '../../../src/target/livekit/token-endpoint.ts';
import { formRequest, ownTokenForm } from '../../../src/target/livekit/token-form.ts';
import { openDatabase } from '../../../src/target/postgres/pool.ts';
import { startTestStack, type TestStack } from '../harness/stack.ts';
import { probeContext } from '../probes/probe-context.ts';

const release = new ReleaseStack(() => {});
let stack: TestStack;
let database: pg.Pool;
let dir: string;
let edgeUrl: string;

beforeAll(async () => {
  stack = await startTestStack({ livekit: true, provision: true });
  release.add('stack', () => stack.stop());
  database = openDatabase(stack.env.DATABASE_URL, { max: 4 });
  release.add('pool', () => database.end());
  dir = await mkdtemp(path.join(tmpdir(), 'trollfix-edge-'));
  release.add('folder', () => rm(dir, { recursive: true, force: true }));
  await exportSupabase(dir);
  // where Deno reads deno.json, Node looks for the same names here
  await symlink(path.join(packageRoot, 'node_modules'), path.join(dir, 'node_modules'));
  edgeUrl = await serveFunction();
});
afterAll(() => release.release());

/** The exported file itself, in a process of its own, with what the platform gives it in the environment. */
async function serveFunction(): Promise<string> {
  const child: ChildProcess = fork(path.join(dir, 'supabase/functions/livekit-token/index.ts'), {
    execArgv: ['--no-warnings', '--import', path.join(packageRoot, 'test/integration/harness/deno-shim.ts')],
    env: {
      SUPABASE_URL: stack.env.SUPABASE_URL,
      SUPABASE_SERVICE_ROLE_KEY: stack.env.SUPABASE_SERVICE_ROLE_KEY,
      JWT_SECRET: stack.env.SUPABASE_JWT_SECRET,
      LIVEKIT_URL: stack.env.LIVEKIT_URL,
      LIVEKIT_API_KEY: stack.env.LIVEKIT_API_KEY,
      LIVEKIT_API_SECRET: stack.env.LIVEKIT_API_SECRET,
    },
  });
  release.add('function', async () => {
    if (child.connected) child.disconnect();
    if (child.exitCode === null) await once(child, 'exit');
  });
  const [message]: Array<{ port: number }> = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the function ended with ${code}`))),
  ]);
  return `http://127.0.0.1:${message?.port}/livekit-token`;
}

const context = (part: string) => probeContext(stack.target, { database, runId: `edge-${part}` });

describe('the exported Edge Function', () => {
  it('holds every case of the table', async () => {
    const rows = await attackOwnEndpoint(context('attack'), {
      ...{ form: ownTokenForm(edgeUrl), trusted: true, paceMs: 0 },
    });
    if (typeof rows === 'string') throw new Error(rows);
    expect(rows.filter(({ verdict }) => verdict !== 'held')).toEqual([]);
    expect(rows.length).toBeGreaterThan(110);
  });

  it('answers every question of the table as the gateway does: same status, same words, same claims', async () => {
    const own = context('same');
    const cohort = await openSeatCohort(own, { ...castSize, name: 'same' });
    const scene = await castScene(own, cohort, true);
    const forms = [ownTokenForm(stack.env.TOKEN_ENDPOINT), ownTokenForm(edgeUrl)];
    const differences: unknown[] = [];
    let tokens = 0;
    for (const { name, ask } of hostileCases(scene, await forgersKeys())) {
      if ('missing' in ask) continue;
      const [gateway, edge] = await Promise.all(
        forms.map(async (form) => {
          const { url, request } = formRequest(form, ask);
          return decisionOf(await requestToken(url, request));
        }),
      );
      if (gateway?.claims) tokens += 1;
      if (JSON.stringify(gateway) !== JSON.stringify(edge)) differences.push({ name, gateway, edge });
    }
    await cohort.close();
    expect(differences).toEqual([]);
    expect(tokens).toBeGreaterThan(40);
  });

  it('answers browsers: preflight, and CORS on every answer', async () => {
    const preflight = await fetch(edgeUrl, { method: 'OPTIONS' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
    const refused = await fetch(edgeUrl, { method: 'POST', body: '{}' });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
  });
});

/** An answer without what differs from one moment to the next. */
function decisionOf({ status, token, problem }: Awaited<ReturnType<typeof requestToken>>) {
  if (token === null) return { status, code: codeOf(problem), claims: null };
  const { iat = 0, nbf = 0, exp = 0, jti: _, ...claims } = decodeJwt(token);
  return { status, code: null, claims: { ...claims, age: nbf - iat, life: exp - nbf } };
}

/** The gateway's own limit on bodies answers before the function sees them, without a code. */
function codeOf(problem: string | null): unknown {
  try {
    const { code } = JSON.parse(problem ?? '') as { code?: unknown };
    return code === 'too_large' ? null : (code ?? null);
  } catch {
    return problem;
  }
}

describe('the export', () => {
  it('again changes nothing, replaces what only another version wrote, and leaves edited code alone', async () => {
    const folder = path.join(dir, 'supabase/functions/livekit-token');
    expect(await exportSupabase(dir)).toMatchObject({
      written: [],
      edgeFunction: {
        folder,
        written: [],
        unchanged: ['index.ts', 'token-policy.js', 'token-request.js', 'deno.json'],
      },
      config: { state: 'present' },
    });
    const policy = path.join(folder, 'token-policy.js');
    const text = await readFile(policy, 'utf8');
    // as an older version would have left it: another text under its own mark
    const { createHash } = await import('node:crypto');
    const older = '// an older policy\n';
    const mark = (text.split('\n')[0] ?? '').replace(
      /[0-9a-f]{64}$/,
      createHash('sha256').update(older).digest('hex'),
    );
    await writeFile(policy, `${mark}\n${older}`);
    expect((await exportSupabase(dir)).edgeFunction.written).toEqual(['token-policy.js']);
    expect(await readFile(policy, 'utf8')).toBe(text);

    await writeFile(policy, `${text}// edited by hand\n`);
    await expect(exportSupabase(dir)).rejects.toMatchObject({ code: 'TF-PROV-004' });
    await writeFile(policy, text);
  });

  it("leaves a config.toml of the project's own alone, and says what belongs into it", async () => {
    const config = path.join(dir, 'supabase/config.toml');
    expect(await readFile(config, 'utf8')).toContain('[functions.livekit-token]');
    await writeFile(config, 'project_id = "mine"\n');
    const exported = await exportSupabase(dir);
    expect(exported.config).toMatchObject({ file: config, state: 'needs_entry' });
    expect(exported.config.entry).toContain('verify_jwt = false');
    expect(await readFile(config, 'utf8')).toBe('project_id = "mine"\n');
  });
});
