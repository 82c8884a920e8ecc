import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommandContext, CommandResult } from '../../../src/cli/command.ts';
import { sleep } from '../../../src/kernel/clock.ts';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { runFake } from './fake-host.ts';
import { sampleCommands } from './sample-commands.ts';

const canary = 'hunter2-canary-4711';
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(path.join(tmpdir(), 'trollfix-frame-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

function doing(run: (context: CommandContext) => Promise<CommandResult>) {
  return sampleCommands((context) => run(context));
}

const fine: CommandResult = { data: { n: 1 }, text: () => 'one\n' };

describe('results', () => {
  test('text on stdout and nothing else there', async () => {
    const commands = doing(async ({ log, progress }) => {
      log.info('a remark');
      progress({ kind: 'step', text: 'a step' });
      return fine;
    });
    const ran = await runFake(['status'], { cwd, commands });
    expect(ran).toMatchObject({ code: 0, stdout: 'one\n' });
    expect(ran.stderr).toContain('a remark');
    expect(ran.stderr).toContain('a step');
  });

  test('--json: one document, whether it went well', async () => {
    const ran = await runFake(['status', '--json'], { cwd, commands: doing(async () => fine) });
    expect(ran.json()).toEqual({ schema: 'trollfix.status/v1', ok: true, data: { n: 1 } });
  });

  test('--json on a terminal is as plain as in a pipe', async () => {
    const commands = doing(async ({ terminal }) => ({ ...fine, data: terminal.style.red('x') }));
    const ran = await runFake(['status', '--json'], { cwd, commands, tty: true });
    expect(ran.json().data).toBe('x');
  });

  test('--ndjson: events, then the result', async () => {
    const commands = doing(async ({ event, progress }) => {
      event('round', { settled: 5 });
      progress({ kind: 'step', text: 'settling' });
      return fine;
    });
    const ran = await runFake(['status', '--ndjson'], { cwd, commands });
    const lines = ran.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.type)).toEqual(['round', 'progress.step', 'result']);
    expect(lines.every((line) => line.schema === 'trollfix.event/v1')).toBe(true);
    expect(lines[2].data).toEqual({ schema: 'trollfix.status/v1', ok: true, data: { n: 1 } });
  });

  test('a result with another exit code is not ok and says why, data and all', async () => {
    const failure = new TrollfixError('TF-LOAD-001', 'a threshold failed');
    const commands = doing(async () => ({ ...fine, exitCode: 99, failure }));
    const ran = await runFake(['status', '--json'], { cwd, commands });
    expect(ran.code).toBe(99);
    expect(ran.json()).toMatchObject({ ok: false, data: { n: 1 }, error: { code: 'TF-LOAD-001' } });
    expect(ran.stderr).toMatch(/^error TF-LOAD-001: a threshold failed$/m);
  });

  test('--quiet leaves only the result and errors', async () => {
    const commands = doing(async ({ log, progress }) => {
      log.info('a remark');
      progress({ kind: 'note', text: 'a note' });
      return fine;
    });
    expect(await runFake(['status', '-q'], { cwd, commands })).toMatchObject({ stdout: 'one\n', stderr: '' });
  });
});

describe('failures', () => {
  test('what happened, why, hint; nothing on stdout', async () => {
    const commands = doing(async () => {
      throw new TrollfixError('TF-DB-001', 'no answer from db', { why: 'refused', hint: 'start it' });
    });
    const ran = await runFake(['status'], { cwd, commands });
    expect(ran).toMatchObject({ code: 3, stdout: '' });
    expect(ran.stderr).toBe('error TF-DB-001: no answer from db\n  refused\n  hint: start it\n');
  });

  test.each([
    [['sttus', '--json'], 2, 'TF-CLI-001', 'trollfix.error/v1'],
    [['load', 'chat', '--json', '--rtae', '1'], 2, 'TF-CLI-002', 'trollfix.load-chat/v1'],
    [['seat', 'revoke', '--json'], 2, 'TF-CLI-003', 'trollfix.seat-revoke/v1'],
    [['--json', 'sttus', '--help'], 2, 'TF-CLI-001', 'trollfix.error/v1'],
  ])('--json on a usage error: %j', async (argv, code, error, schema) => {
    const ran = await runFake(argv, { cwd, commands: sampleCommands() });
    expect(ran.code).toBe(code);
    expect(ran.json()).toMatchObject({ schema, ok: false, data: null, error: { code: error } });
    expect(ran.json().error?.docs).toBe(`docs/errors.md#${error.toLowerCase()}`);
  });

  test('a bug: exit 1, a log with the stack, the stack on screen only with --verbose', async () => {
    const commands = doing(async () => {
      throw new TypeError('x is not a function');
    });
    const ran = await runFake(['status', '--json'], { cwd, commands });
    expect(ran.code).toBe(1);
    const { error } = ran.json();
    expect(error).toMatchObject({ code: 'TF-CLI-009', message: 'x is not a function' });
    expect(ran.stdout + ran.stderr).not.toContain('frame.test.ts');
    expect(readFileSync(error?.log ?? '', 'utf8')).toContain('frame.test.ts');
    expect(readdirSync(path.join(cwd, '.trollfix', 'logs'))).toHaveLength(1);
    expect((await runFake(['status', '--verbose'], { cwd, commands })).stderr).toContain('frame.test.ts');
  });

  test('what nobody caught is told once the command has taken down what it started', async () => {
    const crash = Promise.withResolvers<never>();
    crash.promise.catch(() => {});
    let tookDown = false;
    const commands = doing(async ({ signal }) => {
      crash.reject(new Error('out of nowhere'));
      await sleep(10_000, signal).catch(() => {});
      tookDown = true;
      return fine;
    });
    const ran = await runFake(['status', '--json'], { cwd, commands, crash: crash.promise });
    expect(ran).toMatchObject({ code: 1 });
    expect(ran.json()).toMatchObject({ ok: false, error: { code: 'TF-CLI-009', message: 'out of nowhere' } });
    expect(tookDown).toBe(true);
  });
});

describe('a command that stays', () => {
  const staying = (hold: (context: CommandContext) => Promise<void>) =>
    doing(async (context) => ({ ...fine, hold: () => hold(context) }));

  test('a failure after its result is told as well', async () => {
    const commands = staying(async () => {
      throw new TrollfixError('TF-STK-003', 'postgres died');
    });
    const ran = await runFake(['status', '--json'], { cwd, commands });
    expect(ran.code).toBe(3);
    expect(ran.json()).toMatchObject({ ok: true, data: { n: 1 } });
    expect(ran.stderr).toContain('error TF-STK-003: postgres died');
  });

  test('and so is a bug, with its log', async () => {
    const commands = staying(async () => {
      throw new TypeError('x is not a function');
    });
    const ran = await runFake(['status'], { cwd, commands });
    expect(ran).toMatchObject({ code: 1, stdout: 'one\n' });
    expect(ran.stderr).toMatch(/error TF-CLI-009: x is not a function\n(.*\n)+ +log: .*bug-/);
  });

  test('--ndjson: its events go on after the result', async () => {
    const commands = staying(async ({ event }) => event('log', { text: 'x' }));
    const ran = await runFake(['status', '--ndjson'], { cwd, commands });
    const lines = ran.stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).type)).toEqual(['result', 'log']);
  });
});

test('a result that cannot be rendered is a bug that is told, not silence', async () => {
  const commands = doing(async () => ({
    data: { n: 1n },
    text: () => {
      throw new TypeError('x is not a function');
    },
  }));
  const ran = await runFake(['status'], { cwd, commands });
  expect(ran).toMatchObject({ code: 1, stdout: '' });
  expect(ran.stderr).toContain('error TF-CLI-009: x is not a function');
  const document = await runFake(['status', '--json'], { cwd, commands });
  expect(document.json()).toMatchObject({ ok: false, data: null, error: { code: 'TF-CLI-009' } });
});

describe('the end of a run that was stopped', () => {
  async function stopped(reason: TrollfixError, run: (context: CommandContext) => Promise<CommandResult>) {
    const interrupts = new AbortController();
    const commands = doing(async (context) => {
      interrupts.abort(reason);
      return run(context);
    });
    return runFake(['status', '--json'], { cwd, commands, interrupts: interrupts.signal });
  }
  const ctrlC = new TrollfixError('TF-CLI-006', 'interrupted');

  test.each([
    [ctrlC, 130],
    [new TrollfixError('TF-CLI-008', 'terminated'), 143],
  ])('%s → %i, whatever the command threw because of it', async (reason, code) => {
    const ran = await stopped(reason, ({ signal }) => sleep(10_000, signal).then(() => fine));
    expect(ran.code).toBe(code);
    expect(ran.json()).toMatchObject({ ok: false, error: { code: reason.code } });
  });

  test('a result that came all the same is kept beside the interruption', async () => {
    const ran = await stopped(ctrlC, async () => fine);
    expect(ran.code).toBe(130);
    expect(ran.json()).toMatchObject({ ok: false, data: { n: 1 }, error: { code: 'TF-CLI-006' } });
  });

  test('a command for which being stopped is the normal end says 0 itself', async () => {
    expect((await stopped(ctrlC, async () => ({ ...fine, exitCode: 0 }))).code).toBe(0);
  });

  test('a violated invariant is told, not the interruption', async () => {
    const ran = await stopped(ctrlC, async () => {
      throw new TrollfixError('TF-GIFT-002', 'money is missing');
    });
    expect(ran.code).toBe(96);
  });

  test('--timeout', async () => {
    const commands = doing(({ signal }) => sleep(10_000, signal).then(() => fine));
    const ran = await runFake(['status', '--timeout', '30ms', '--json'], { cwd, commands });
    expect(ran.code).toBe(3);
    expect(ran.json().error?.code).toBe('TF-CLI-007');
  });
});

describe('secrets', () => {
  test('a canary in data, text, error, log and event is taken out everywhere', async () => {
    const url = `postgresql://postgres:${canary}@db.example.com/postgres`;
    const commands = doing(async ({ log, progress, event }) => {
      log.warn(`connecting to ${url}`, { token: jwt });
      progress({ kind: 'note', text: `key ${jwt}` });
      event('x', { url, apiKey: canary });
      throw new TrollfixError('TF-DB-001', `no answer from ${url}`, {
        why: `Authorization: Bearer ${jwt}`,
        details: { password: canary, nested: [{ url }] },
      });
    });
    for (const flag of ['--json', '--ndjson', '--verbose']) {
      const ran = await runFake(['status', flag], { cwd, commands });
      const everything = ran.stdout + ran.stderr;
      expect(everything).toContain('TF-DB-001');
      expect(everything).not.toContain(canary);
      expect(everything).not.toContain('eyJ');
    }
  });

  test('the secrets of the target are known by their value', async () => {
    const commands = doing(async ({ target, redact }) => {
      await target();
      return { data: { said: `the secret is ${canary}.`, file: redact(canary) }, text: () => `${canary}\n` };
    });
    const env = {
      TROLLFIX_SUPABASE_URL: 'https://abcd.supabase.co',
      TROLLFIX_ANON_KEY: 'anon-key',
      TROLLFIX_JWT_SECRET: canary,
    };
    for (const argv of [['status'], ['status', '--json']]) {
      const ran = await runFake(argv, { cwd, commands, env });
      expect(ran.code).toBe(0);
      expect(ran.stdout).toContain('[redacted]');
      expect(ran.stdout).not.toContain(canary);
    }
  });

  test('a command that is there to print a key prints it', async () => {
    const commands = doing(async () => ({
      data: { token: jwt },
      text: () => `${jwt}\n`,
      printsSecrets: true,
    }));
    expect((await runFake(['status'], { cwd, commands })).stdout).toBe(`${jwt}\n`);
    expect((await runFake(['status', '--json'], { cwd, commands })).json().data).toEqual({ token: jwt });
  });

  test('a bug log holds none either', async () => {
    const commands = doing(async () => {
      throw new Error(`postgresql://u:${canary}@h/d ${jwt}`);
    });
    const { error } = (await runFake(['status', '--json'], { cwd, commands })).json();
    const log = readFileSync(error?.log ?? '', 'utf8');
    expect(log).not.toContain(canary);
    expect(log).not.toContain('eyJ');
  });
});

describe('questions', () => {
  const asks = doing(async ({ prompts }) => {
    await prompts.confirm('really?');
    return fine;
  });

  test('nobody there to answer: exit 5 and the flag that answers', async () => {
    const ran = await runFake(['status', '--json'], { cwd, commands: asks });
    expect(ran.code).toBe(5);
    expect(ran.json().error).toMatchObject({ code: 'TF-CLI-005', hint: 'pass `--yes`' });
  });

  test('--yes answers, --no-input does not', async () => {
    expect((await runFake(['status', '--yes'], { cwd, commands: asks })).code).toBe(0);
    expect((await runFake(['status', '--no-input'], { cwd, commands: asks, tty: true })).code).toBe(5);
  });
});

describe('GitHub Actions', () => {
  test('at most ten annotations, and a job summary', async () => {
    const summary = path.join(cwd, 'summary.md');
    const failure = new TrollfixError('TF-LOAD-001', 'a threshold failed: 50% | x');
    const commands = doing(async () => ({
      ...fine,
      exitCode: 99,
      failure,
      annotations: Array.from({ length: 14 }, (_, i) => `threshold ${i}\nfailed`),
      jobSummary: () => '# Report',
    }));
    const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: summary };
    const ran = await runFake(['status', '--json'], { cwd, commands, env });
    const lines = ran.stderr.split('\n').filter((line) => line.startsWith('::error'));
    expect(lines).toHaveLength(10);
    expect(lines[0]).toBe('::error title=TF-LOAD-001::threshold 0%0Afailed');
    expect(lines[9]).toContain('(and 5 more)');
    expect(readFileSync(summary, 'utf8')).toBe('# Report\n');
    expect(ran.json().ok).toBe(false);
  });
});

describe('help', () => {
  test.each([['--version'], ['--quiet', '--version'], ['--target', 'x', '-V'], ['status', '--version']])(
    'the version, wherever it is asked for: %s %s %s',
    async (...argv) => {
      let called = false;
      const commands = doing(async () => {
        called = true;
        return fine;
      });
      const ran = await runFake(argv, { cwd, commands });
      expect(ran).toMatchObject({ code: 0, stderr: '' });
      expect(ran.stdout).toMatch(/^trollfix \d+\.\d+\.\d+ \(node /);
      expect(called).toBe(false);
    },
  );

  test('no arguments: three examples come first', async () => {
    const ran = await runFake([], { cwd });
    expect(ran.code).toBe(0);
    expect(
      ran.stdout
        .split('\n')
        .slice(0, 3)
        .every((line) => line.startsWith('  trollfix ')),
    ).toBe(true);
    expect(ran.stdout.split('\n')[3]).toBe('');
  });

  test('a group without a verb shows its help; --help anywhere shows that of the command', async () => {
    const commands = sampleCommands();
    expect((await runFake(['seat'], { cwd, commands })).stdout).toContain('Usage: trollfix seat <command>');
    expect((await runFake(['seat', 'revoke', '--help'], { cwd, commands })).stdout).toContain(
      'Usage: trollfix seat revoke <stream> <users...>',
    );
    expect((await runFake(['help', 'load', 'chat'], { cwd, commands })).stdout).toContain('--duration <dur>');
    expect((await runFake(['--help', '--json'], { cwd, commands })).json()).toMatchObject({
      schema: 'trollfix.help/v1',
      ok: true,
    });
  });

  test.each([
    [{}, false],
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    [{ FORCE_COLOR: '0' }, false],
  ])('colours in a pipe with %j: %s', async (env, colored) => {
    expect((await runFake([], { cwd, env })).stdout.includes('\u001b[')).toBe(colored);
  });

  test.each([
    [{ TERM: 'xterm' }, true],
    [{ TERM: 'dumb' }, false],
    [{ NO_COLOR: '1' }, false],
  ])('colours on a terminal with %j: %s', async (env, colored) => {
    expect((await runFake([], { cwd, env, tty: true })).stdout.includes('\u001b[')).toBe(colored);
  });
});
