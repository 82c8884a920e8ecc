import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { pollUntil } from '../../src/kernel/deadline.ts';
import { readStackState, type StackState } from '../../src/local/stack-state.ts';
import { drillMeasurementIds, originalMatrixIds, runRecordSchema } from '../../src/record/run-record.ts';
import { isLoopback, isTcpPortTaken, listenersOf, processTree } from '../integration/harness/listeners.ts';
import { emptyProject, runCli } from './built-cli.ts';

const stateDirOf = (project: string) => path.join(project, '.trollfix');

/** The state of the stack in that project, once it is up. */
function stackUp(project: string): Promise<StackState> {
  return pollUntil(
    () => {
      const state = readStackState(stateDirOf(project));
      return state?.phase === 'up' ? state : undefined;
    },
    { ms: 120_000, everyMs: 50, what: 'the stack of the drill' },
  );
}

function isRunning(pid: number | null): boolean {
  if (pid === null) return false;
  try {
    // a zombie that nobody waits for holds no port and runs no code
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).charAt(0) !== 'Z';
  } catch {
    return false;
  }
}

async function expectGone(state: StackState): Promise<void> {
  for (const { name, pid, port } of state.services) {
    await expect.poll(() => isRunning(pid), { message: `${name} still runs` }).toBe(false);
    if (port !== null) expect(isTcpPortTaken(port), `${name} still listens`).toBe(false);
  }
  expect(readStackState(stateDirOf(path.dirname(path.dirname(state.dataDir))))).toBeUndefined();
}

describe('the main job', () => {
  test('drill --quick --json: exit 0, one document, every id, loopback only, nothing left', async () => {
    const project = emptyProject();
    let pid: number | undefined;
    const running = runCli(['drill', '--quick', '--json'], {
      cwd: project,
      onStart: (child) => {
        pid = child.pid;
      },
    });
    const state = await stackUp(project);
    // whatever any process of the drill listens on while it runs
    const listeners = listenersOf(processTree(pid ?? 0));
    expect(listeners.length).toBeGreaterThanOrEqual(4);
    expect(listeners.filter((listener) => !isLoopback(listener))).toEqual([]);

    const { code, stdout, stderr } = await running;
    const document = JSON.parse(stdout);
    expect(document.error, stderr).toBeUndefined();
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: 'trollfix.drill/v1', ok: true });
    const record = runRecordSchema.parse(document.data);
    expect(record.measurements.map((m) => m.id).sort()).toEqual([...drillMeasurementIds].sort());
    expect(record.matrix.map((row) => row.id).sort()).toEqual([...originalMatrixIds].sort());
    // LiveKit is there, so nothing may be excused
    expect(record.measurements.filter((m) => m.status === 'not_run')).toEqual([]);
    expect(record.matrix.map((row) => row.verdict)).toEqual(record.matrix.map(() => 'pass'));
    for (const row of record.matrix) expect(row.evidence, row.id).not.toEqual([]);

    const folder = path.join(project, 'reports', record.runId);
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(['run.json', 'report.md']));
    expect(readFileSync(path.join(folder, 'report.md'), 'utf8')).toContain('## 4. Crash Matrix');
    for (const secret of [state.env.SUPABASE_SERVICE_ROLE_KEY, state.env.LIVEKIT_API_SECRET, 'eyJ']) {
      for (const file of readdirSync(folder)) {
        expect(readFileSync(path.join(folder, file), 'utf8').includes(secret), file).toBe(false);
      }
      expect(stdout.includes(secret) || stderr.includes(secret)).toBe(false);
    }
    await expectGone(state);
  });

  test('kill -9 in the middle, then down, then it runs again', async () => {
    const project = emptyProject();
    let kill: (() => void) | undefined;
    const running = runCli(['drill', '--quick', '--json'], {
      cwd: project,
      onStart: (child) => {
        kill = () => child.kill('SIGKILL');
      },
    });
    const state = await stackUp(project);
    kill?.();
    expect((await running).signal).toBe('SIGKILL');
    const down = await runCli(['down', '--json'], { cwd: project });
    expect(down.code).toBe(0);
    expect(JSON.parse(down.stdout)).toMatchObject({ ok: true, data: { stopped: true, orphaned: true } });
    await expectGone(state);

    const again = await runCli(['up', '--detach', '--json'], { cwd: project });
    expect(again.code, again.stderr).toBe(0);
    try {
      const chaos = await runCli(['chaos', 'run', 'insufficient-funds', '--json'], { cwd: project });
      expect(chaos.code, chaos.stderr).toBe(0);
      expect(JSON.parse(chaos.stdout).data.matrix[0]).toMatchObject({ verdict: 'pass' });
    } finally {
      await runCli(['down'], { cwd: project });
    }
  });

  test('Ctrl-C: exit 130, a valid record that says so, nothing left', async () => {
    const project = emptyProject();
    let interrupt: (() => void) | undefined;
    const running = runCli(['drill', '--quick', '--json'], {
      cwd: project,
      onStart: (child) => {
        interrupt = () => child.kill('SIGINT');
      },
    });
    const state = await stackUp(project);
    const reports = path.join(project, 'reports');
    await pollUntil(() => (readdirSync(project).includes('reports') ? true : undefined), {
      ms: 60_000,
      everyMs: 50,
      what: 'the folder of the run',
    });
    interrupt?.();
    const { code, stdout } = await running;
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'TF-CLI-006' } });
    const [runId = ''] = readdirSync(reports).filter((name) => name !== 'latest');
    const record = runRecordSchema.parse(
      JSON.parse(readFileSync(path.join(reports, runId, 'run.json'), 'utf8')),
    );
    expect(record).toMatchObject({ ok: false, exitCode: 130, interrupted: true });
    expect(record.matrix.map((row) => row.verdict)).toEqual(originalMatrixIds.map(() => 'not_run'));
    await expectGone(state);
  });
});
