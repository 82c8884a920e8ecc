import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../src/kernel/package-root.ts';
import { rules, wordsOfRule } from './architecture/rooms.ts';
import { importsOf, readSources, type SourceFile } from './architecture/source-files.ts';
import { violationsOf } from './architecture/violations.ts';

const sources = readSources(path.join(packageRoot, 'src'));

describe('src/ keeps to ARCHITECTURE.md', () => {
  test('imports, cycles, names, guarded words, sizes', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(violationsOf(sources)).toEqual([]);
  });

  test('specs stay light: they import nothing at run time but kernel and other specs', () => {
    const light = /^(kernel\/|cli\/commands\/[a-z-]+\.spec\.ts$|cli\/load-options\.ts$)/;
    const heavy = sources
      .filter(({ path: file }) => file.endsWith('.spec.ts'))
      .flatMap((file) => staticImports(file).map((to) => `${file.path} imports ${to}`))
      .filter((line) => !light.test(line.split(' imports ')[1] ?? ''));
    expect(heavy).toEqual([]);
  });

  test('the table of ARCHITECTURE.md and the data are the same', () => {
    const written = tableOfArchitecture();
    expect([...written.keys()].sort()).toEqual(Object.keys(rules).sort());
    for (const [room, rule] of Object.entries(rules)) {
      expect(written.get(room), room).toEqual(wordsOfRule(room, rule));
    }
  });
});

describe('a planted violation is found', () => {
  const planted: ReadonlyArray<readonly [string, SourceFile[], RegExp]> = [
    [
      'a room that may not be imported',
      [file('engine/x.ts', "import { a } from '../target/y.ts';")],
      /engine\/x\.ts imports target\/y\.ts/,
    ],
    [
      'a value where only types are allowed',
      [file('target/hls/x.ts', "import { a } from '../../config/target.ts';")],
      /imports config\/target\.ts/,
    ],
    [
      'types where not even those are allowed',
      [file('engine/x.ts', "import type { A } from '../config/target.ts';")],
      /imports types of config/,
    ],
    [
      'a dynamic import',
      [file('report/x.ts', "const a = await import('../cli/frame.ts');")],
      /report\/x\.ts imports cli\/frame/,
    ],
    [
      'a re-export',
      [file('record/x.ts', "export { a } from '../report/y.ts';")],
      /record\/x\.ts imports report/,
    ],
    [
      'an import over several lines',
      [file('engine/x.ts', "import {\n  a,\n  b,\n} from '../cli/y.ts';")],
      /imports cli\/y/,
    ],
    [
      'one target that imports another',
      [file('target/hls/x.ts', "import { a } from '../livekit/y.ts';")],
      /knows nothing of another/,
    ],
    [
      'local that imports target',
      [file('local/x.ts', "import { a } from '../target/y.ts';")],
      /local\/x\.ts imports target/,
    ],
    [
      'a part of app that is not headless',
      [file('probes/chat/x.ts', "import { a } from '../../app/page.ts';")],
      /imports app\/page/,
    ],
    [
      'kernel in app',
      [file('app/x.ts', "import { a } from '../kernel/clock.ts';")],
      /app\/x\.ts imports kernel/,
    ],
    [
      'React in app, outside of a hook',
      [file('app/x.ts', "import { useState } from 'react';")],
      /ships to browsers/,
    ],
    ['Node in the demo', [file('app/demo/x.tsx', "import fs from 'node:fs';")], /ships to browsers/],
    [
      'a library that imports the demo',
      [file('app/x.ts', "import { a } from './demo/y.tsx';")],
      /the demo is nobody's library/,
    ],
    ['a package in app', [file('app/x.ts', "import pg from 'pg';")], /ships to browsers/],
    ['I/O in report', [file('report/x.ts', "import { readFileSync } from 'node:fs';")], /does no I\/O/],
    [
      'a room nobody knows',
      [file('attic/x.ts', "import { a } from '../kernel/clock.ts';")],
      /"attic" is not in/,
    ],
    [
      'a cycle',
      [file('ops/a.ts', "import { b } from './b.ts';"), file('ops/b.ts', "import { a } from './a.ts';")],
      /cycle: ops\/a\.ts → ops\/b\.ts → ops\/a\.ts/,
    ],
    ['a barrel', [file('ops/index.ts', '')], /no barrels/],
    ['a barrel of components', [file('app/demo/index.tsx', '')], /no barrels/],
    ['a drawer', [file('ops/string-utils.ts', '')], /named after nothing/],
    ['console', [file('ops/x.ts', "console.log('x');")], /ops\/x\.ts: console/],
    ['process.env', [file('ops/x.ts', 'const a = process.env.HOME;')], /process\.env/],
    ['process.env taken apart', [file('ops/x.ts', 'const { env } = process;')], /ops\/x\.ts: process/],
    ['process.exit', [file('cli/x.ts', 'process.exit(1);')], /process\.exit/],
    ['a long file', [file('ops/x.ts', 'x;\n'.repeat(401))], /401 lines/],
  ];
  test.each(planted)('%s', (_, files, expected) => {
    const found = violationsOf(files);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).toMatch(expected);
  });

  test('what is allowed is left alone', () => {
    const fine = [
      file(
        'target/hls/x.ts',
        "import type { Target } from '../../config/target.ts';\n// console.log is not used\n",
      ),
      file(
        'probes/chat/x.ts',
        "import { type A, b } from '../../app/chat-throttle.ts';\nconst s = 'process.env';",
      ),
      file('app/use-x.ts', "import { useState } from 'react';"),
      file('app/demo/x.tsx', "import Hls from 'hls.js';\nimport { useX } from '../use-x.ts';"),
      file('ops/a.ts', "import { type B, c } from './b.ts';"),
      file('ops/b.ts', "import type { A } from './a.ts';"),
    ];
    expect(violationsOf(fine)).toEqual([]);
  });
});

function file(name: string, text: string): SourceFile {
  return { path: name, text };
}

function staticImports(source: SourceFile): string[] {
  const dynamic = new Set(
    [...source.text.matchAll(/import\(\s*'([^']+)'/g)].map(([, specifier = '']) => specifier),
  );
  return importsOf(source)
    .filter(({ typeOnly }) => !typeOnly)
    .map(({ to }) => to)
    .filter((to) => ![...dynamic].some((specifier) => to.endsWith(specifier.replace(/^(\.\.?\/)+/, ''))));
}

/** The room table of ARCHITECTURE.md: what each room may import, as a set of phrases. */
function tableOfArchitecture(): Map<string, Set<string>> {
  const text = readFileSync(path.join(packageRoot, 'ARCHITECTURE.md'), 'utf8');
  const section = text.split('## Rooms of `src/`')[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => /^\| `/.test(line));
  return new Map(
    rows.map((row) => {
      const [, room = '', , imports = ''] = row.split('|').map((cell) => cell.trim());
      const phrases = imports.startsWith('nothing at all') ? [imports] : imports.split(', ');
      return [room.replace(/`|\/|\.ts/g, ''), new Set(phrases)];
    }),
  );
}
