import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { packageRoot } from '../src/kernel/package-root.ts';

/**
 * Bundles the demo page that `trollfix up` serves, with everything it needs: it fetches nothing from elsewhere.
 * usage: node scripts/bundle-demo.ts [FOLDER]   (default: dist/demo)
 */
const demoDir = path.join(packageRoot, 'src', 'app', 'demo');
const outDir = path.resolve(process.argv[2] ?? path.join(packageRoot, 'dist', 'demo'));

// parts of an earlier build have other names
await rm(outDir, { recursive: true, force: true });
await mkdir(outDir, { recursive: true });
await build({
  entryPoints: [path.join(demoDir, 'main.tsx'), path.join(demoDir, 'main.css')],
  outdir: outDir,
  bundle: true,
  // LiveKit and hls.js are loaded when they are needed
  splitting: true,
  format: 'esm',
  // from AbortSignal.any on, which is not rewritten; docs/browser.md names the same
  target: ['chrome116', 'firefox124', 'safari17.4'],
  // without subtitles, DRM and alternate audio, which the stream has none of
  alias: { 'hls.js': 'hls.js/light' },
  jsx: 'automatic',
  tsconfig: path.join(packageRoot, 'src', 'app', 'tsconfig.json'),
  minify: true,
  define: { 'process.env.NODE_ENV': '"production"' },
  // the licences of what is bundled stay with it
  legalComments: 'linked',
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg']) await cp(path.join(demoDir, name), path.join(outDir, name));
