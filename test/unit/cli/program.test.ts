import { describe, expect, test } from 'vitest';
import { catalogue } from '../../../src/cli/catalogue.ts';
import { commandTree } from '../../../src/cli/command-tree.ts';
import { globalOptions } from '../../../src/cli/global-flags.ts';
import { firstExamples } from '../../../src/cli/help-text.ts';
import { readOptionFlags } from '../../../src/cli/option-flags.ts';
import { parseInvocation } from '../../../src/cli/program.ts';
import { TrollfixError } from '../../../src/kernel/errors.ts';
import { sampleCommands } from './sample-commands.ts';

const root = commandTree(sampleCommands());

async function parsed(...argv: string[]) {
  const invocation = await parseInvocation(root, argv);
  if (invocation.kind !== 'run') throw new Error('parsed as help');
  return invocation;
}

async function refused(...argv: string[]): Promise<TrollfixError> {
  try {
    await parseInvocation(root, argv);
  } catch (error) {
    if (error instanceof TrollfixError) return error;
    throw error;
  }
  throw new Error(`${argv.join(' ')} was not refused`);
}

describe('what is parsed', () => {
  test('global flags stand before or after the command', async () => {
    for (const argv of [
      ['--json', '--target', 'staging', 'load', 'chat'],
      ['load', '--json', 'chat', '--target', 'staging'],
      ['load', 'chat', '--target=staging', '--json'],
    ]) {
      const { globals, spec } = await parsed(...argv);
      expect(spec.path).toEqual(['load', 'chat']);
      expect(globals).toMatchObject({ json: true, target: 'staging', input: true });
    }
  });

  test('options are parsed, repeated, negated and have defaults', async () => {
    const { input } = await parsed('load', 'chat', '--threshold', 'a<1', '--threshold=b<2', '--no-cleanup');
    expect(input.options).toEqual({
      duration: 10_000,
      rate: undefined,
      threshold: ['a<1', 'b<2'],
      model: undefined,
      cleanup: false,
    });
  });

  test('without a word, a repeatable option is an empty list and a negated one true', async () => {
    const { input } = await parsed('load', 'chat', '--duration', '1m30s');
    expect(input.options).toMatchObject({ threshold: [], cleanup: true, duration: 90_000 });
  });

  test('arguments arrive by name; a variadic one as a list', async () => {
    const { input } = await parsed('seat', 'revoke', 's1', 'ada', 'bob');
    expect(input.arguments).toEqual({ stream: 's1', users: ['ada', 'bob'] });
  });

  test('--timeout is a duration with a unit', async () => {
    expect((await parsed('status', '--timeout', '90s')).globals.timeoutMs).toBe(90_000);
  });
});

describe('what is refused, always with exit code 2', () => {
  const cases: ReadonlyArray<readonly [string, string[], string, RegExp]> = [
    ['a mistyped command', ['sttus'], 'TF-CLI-001', /did you mean `trollfix status`/],
    ['a mistyped verb', ['seat', 'revok'], 'TF-CLI-001', /did you mean `trollfix seat revoke`/],
    ['a verb without its group', ['revoke'], 'TF-CLI-001', /did you mean `trollfix seat revoke`/],
    [
      'a mistyped command with flags of its own',
      ['laod', 'chat', '--rate', '5/s'],
      'TF-CLI-001',
      /trollfix load/,
    ],
    ['nothing like a command', ['xyzzy'], 'TF-CLI-001', /trollfix --help/],
    ['a mistyped flag', ['load', 'chat', '--rtae', '5/s'], 'TF-CLI-002', /did you mean `--rate`/],
    ['a mistyped flag with =', ['load', 'chat', '--durration=5s'], 'TF-CLI-002', /did you mean `--duration`/],
    ['a mistyped global flag', ['--jsno', 'status'], 'TF-CLI-002', /did you mean `--json`/],
    ['a flag of another command', ['status', '--rate', '5/s'], 'TF-CLI-002', /trollfix status --help/],
    ['a missing argument', ['seat', 'revoke', 's1'], 'TF-CLI-003', /trollfix seat revoke one/],
    ['too many arguments', ['status', 'now'], 'TF-CLI-003', /trollfix status one/],
    ['a flag without its value', ['load', 'chat', '--rate'], 'TF-CLI-003', /trollfix load chat one/],
    ['a bare number where a unit matters', ['load', 'chat', '--duration', '10'], 'TF-CLI-004', /10s or 10ms/],
    ['a bare number in --timeout', ['status', '--timeout', '5'], 'TF-CLI-004', /5s or 5ms/],
    ['a value that is no choice', ['load', 'chat', '--model', 'rmap'], 'TF-CLI-004', /did you mean `ramp`/],
    ['an argument that is no choice', ['completion', 'bsh'], 'TF-CLI-004', /did you mean `bash`/],
    ['two forms of output', ['status', '--json', '--ndjson'], 'TF-CLI-003', /--json for one document/],
  ];
  test.each(cases)('%s', async (_, argv, code, hint) => {
    const error = await refused(...argv);
    expect(error.code).toBe(code);
    expect(error.exitCode).toBe(2);
    expect(error.hint).toMatch(hint);
  });

  test('the flag is named beside what its value does not say', async () => {
    expect((await refused('load', 'chat', '--duration', 'soon')).message).toBe(
      '--duration: "soon" is not a duration',
    );
  });
});

describe('the real catalogue', () => {
  test.each([
    [['seat', 'revoke', 'ada', '--stream', 's'], 'trollfix seat revoke needs --reason <text>'],
    [['seat', 'revoke', 'ada', '--reason', 'x'], 'trollfix seat revoke needs --stream <id>'],
    // what a shell makes of a variable that is not set
    [['seat', 'grant', 'ada', '--stream', ''], 'trollfix seat grant needs --stream <id>'],
    [['token', 'mint', ' ', '--stream', 's'], 'trollfix token mint needs <user>'],
    [['cleanup', ''], 'trollfix cleanup needs <run>'],
  ])('what a command needs is a matter of its spec: %j', async (argv, message) => {
    const error = await parseInvocation(commandTree(catalogue), argv).catch((thrown: unknown) => thrown);
    if (!(error instanceof TrollfixError)) throw new Error(`${argv.join(' ')} was not refused`);
    expect(error).toMatchObject({ code: 'TF-CLI-003', message });
    expect(error.hint).toContain(`trollfix ${argv[0]}`);
  });

  test('every command has a way to be called, an example, and no flag that a global one would swallow', () => {
    const globals = new Set(globalOptions.map(({ flags }) => readOptionFlags(flags).long));
    const shorts = new Set(globalOptions.map(({ flags }) => readOptionFlags(flags).short).filter(Boolean));
    for (const spec of catalogue) {
      const name = spec.path.join(' ');
      expect(spec.examples.length, name).toBeGreaterThan(0);
      for (const { line } of spec.examples) expect(line, name).toContain(`trollfix ${name}`);
      for (const { flags } of spec.options ?? []) {
        const { long, short } = readOptionFlags(flags);
        expect(globals.has(long), `${name} ${long}`).toBe(false);
        expect(short !== undefined && shorts.has(short), `${name} ${short}`).toBe(false);
      }
    }
    expect(new Set(catalogue.map(({ path }) => path.join(' '))).size).toBe(catalogue.length);
  });

  test('every example of the help can be typed', async () => {
    const tree = commandTree(catalogue);
    const lines = [
      ...catalogue.flatMap(({ examples }) => examples.map(({ line }) => line)),
      ...firstExamples.map(([line]) => line),
    ];
    for (const line of lines) {
      const argv = wordsOf(line);
      await expect(parseInvocation(tree, argv), line).resolves.toMatchObject({ kind: 'run' });
    }
  });
});

/** The words after `trollfix` as a shell would hand them over, up to a pipe or a redirection. */
function wordsOf(line: string): string[] {
  const call = line.replace(/^.*?trollfix /, '');
  const words: string[] = [];
  for (const [word] of call.matchAll(/'[^']*'|"[^"]*"|[^\s]+/g)) {
    if (/^(\||>|<|&&|;)/.test(word)) break;
    words.push(word.replace(/^['"]|['"]$/g, '').replace(/\)$/, ''));
  }
  return words;
}
