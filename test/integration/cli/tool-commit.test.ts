import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { commitOfClone } from '../../../src/cli/tool-commit.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'trollfix-commit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the commit is that of the clone, never that of a repository around an installed package', async () => {
  const clone = path.join(folder, 'clone');
  const installed = path.join(clone, 'node_modules', 'trollfix');
  mkdirSync(installed, { recursive: true });
  const git = (...argv: string[]) => execFileSync('git', ['-C', clone, ...argv], { encoding: 'utf8' });
  git('init', '--quiet');
  expect(await commitOfClone(clone)).toBeNull();
  git('-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '--quiet', '--allow-empty', '-m', 'one');
  expect(await commitOfClone(clone)).toBe(git('rev-parse', 'HEAD').trim());
  expect(await commitOfClone(installed)).toBeNull();
  expect(await commitOfClone(folder)).toBeNull();
});
