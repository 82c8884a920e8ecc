import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/kernel/package-root.ts';
import { emptyProject } from './built-cli.ts';

/** What somebody who installed trollfix writes: the code of docs/browser.md, as it stands there. */
let project: string;

/** The packages that such a project has. */
const installed = ['react', 'react-dom', '@types/react', '@types/react-dom', '@supabase/supabase-js'];

beforeAll(() => {
  if (!existsSync(path.join(packageRoot, 'dist', 'app', 'app.js')))
    throw new Error('dist/ is not built: npm run build');
  project = emptyProject();
  for (const name of installed) link(name, path.join(packageRoot, 'node_modules', name));
  link('trollfix', packageRoot);
  const guide = readFileSync(path.join(packageRoot, 'docs', 'browser.md'), 'utf8');
  for (const language of ['tsx', 'ts']) {
    const code = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\n\`\`\``).exec(guide)?.[1];
    if (code === undefined) throw new Error(`docs/browser.md shows no ${language}`);
    writeFileSync(path.join(project, `guide.${language}`), code);
  }
  writeFileSync(path.join(project, 'package.json'), '{"type": "module"}');
});

function link(name: string, target: string): void {
  const place = path.join(project, 'node_modules', name);
  mkdirSync(path.dirname(place), { recursive: true });
  symlinkSync(target, place);
}

/** The guide as a bundler takes it. */
function bundle(file: string) {
  return build({
    entryPoints: [path.join(project, file)],
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    // Node's modules cannot be resolved for a browser: importing one would fail here
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
}

const run = (args: readonly string[]) => promisify(execFile)(process.execPath, args, { cwd: project });

describe('the code of docs/browser.md', () => {
  test('is right by our types, and what is wrong by them is told', async () => {
    const guide = readFileSync(path.join(project, 'guide.tsx'), 'utf8');
    writeFileSync(path.join(project, 'wrong.tsx'), guide.replace('retryInMs > 0 ?', "retryInMs === 'now' ?"));
    const compilerOptions = {
      ...{ target: 'es2024', lib: ['es2024', 'dom'], module: 'nodenext', jsx: 'react-jsx', types: [] },
      // our .d.ts files are checked as well: one that does not resolve would make everything `any`
      ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true },
    };
    const files = ['guide.tsx', 'guide.ts', 'wrong.tsx'];
    writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    const tsc = path.join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    const { stdout } = await run([tsc, '-p', project]).catch((error: { stdout: string }) => error);
    // supabase-js has mistakes of its own under these settings
    const errors = stdout
      .split('\n')
      .filter((line) => /error TS/.test(line) && !line.includes('/@supabase/'));
    expect(errors).toEqual([expect.stringMatching(/^wrong\.tsx\(\d+,\d+\): error TS2367:/)]);
  });

  test.each(['guide.tsx', 'guide.ts'])('%s bundles for a browser', async (file) => {
    const { outputFiles, warnings } = await bundle(file);
    expect(warnings).toEqual([]);
    expect(outputFiles[0]?.text).toContain('my_stream_seat');
  });
});

test('the hooks render on a server, where there is no window', async () => {
  const script = `
    import { createElement } from 'react';
    import { renderToString } from 'react-dom/server';
    import { createClient } from '@supabase/supabase-js';
    import { useBroadcastChat, useStreamSeats } from 'trollfix/react';
    import { watchStreamSeat } from 'trollfix/app';
    const supabase = createClient('http://127.0.0.1:9', 'key');
    function Page() {
      const { seat } = useStreamSeats({ supabase, streamId: 's', userId: 'u' });
      const { messages, retryInMs } = useBroadcastChat({ supabase, streamId: 's', userId: 'u' });
      return createElement('p', null, seat.status + messages.length + retryInMs);
    }
    if (typeof window !== 'undefined') throw new Error('there is a window');
    console.log(renderToString(createElement(Page)), typeof watchStreamSeat);
  `;
  const { stdout } = await run(['--input-type=module', '-e', script]);
  expect(stdout.trim()).toBe('<p>loading00</p> function');
});

test('the package holds what it exports, and the demo page', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: packageRoot,
    maxBuffer: 64 * 1024 * 1024,
  });
  const [packed] = JSON.parse(stdout) as Array<{ files: Array<{ path: string }> }>; // npm's documented form
  const files = packed?.files.map((file) => file.path);
  const wanted = [
    'app/app.js',
    'app/app.d.ts',
    'app/react.js',
    'app/react.d.ts',
    'demo/index.html',
    'demo/main.js',
  ];
  expect(files).toEqual(expect.arrayContaining(wanted.map((file) => `dist/${file}`)));
});
