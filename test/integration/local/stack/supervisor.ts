import process from 'node:process';
import { startStack } from '../../../../src/local/stack.ts';
import { testStackOptions } from '../../harness/stack.ts';

// A supervisor in a process of its own, for tests that kill it. Says `up` on stdout when the stack is.
const [, , stateDir = '', livekit = ''] = process.argv;
const stack = await startStack({
  ...testStackOptions(stateDir, { hls: true, livekit: livekit === 'livekit' }),
  // code that does not watch its channel, as the settler's does not have to
  settler: {
    command: process.execPath,
    args: ['-e', 'console.log("settling"); setInterval(() => {}, 1000)'],
    env: {},
  },
});
process.once('SIGTERM', () => {
  void stack.stop();
});
process.stdout.write('up\n');
