#!/usr/bin/env -S node --
// The `--` above: without it Node takes `--env-file` of our command line for its own and stops when it cannot read it.
// Launcher only: the version check must parse and run on any Node, so nothing is imported statically.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `trollfix needs Node 22.19 or newer, this is ${process.versions.node}: install a newer Node, or run it through \`npx trollfix\` in a clone after \`npm ci\`\n`,
  );
  process.exitCode = 3;
} else {
  // compiled code is kept between runs (in the system's temporary folder): a start takes a third less time
  (await import('node:module')).default.enableCompileCache();
  const { main } = await import('../dist/main.js');
  await main();
}
