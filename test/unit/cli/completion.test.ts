import { expect, test } from 'vitest';
import { catalogue } from '../../../src/cli/catalogue.ts';
import { completionTable, flagsWithValue } from '../../../src/cli/completion/completion-table.ts';
import { runFake } from './fake-host.ts';

test('every shell knows which words are values of a flag, in its short form too', async () => {
  const flags = flagsWithValue(completionTable(catalogue));
  for (const flag of ['--target', '--lines', '-n']) expect(flags).toContain(flag);
  for (const flag of ['--json', '-q', '--quick', '-f']) expect(flags).not.toContain(flag);
  for (const [shell, between] of [
    ['bash', '|'],
    ['zsh', '|'],
    ['fish', ' '],
  ] as const) {
    expect((await runFake(['completion', shell])).stdout, shell).toContain(flags.join(between));
  }
});
