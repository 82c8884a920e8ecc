import { main } from '../../../src/main.ts';

// The CLI as a process of its own, from the sources: what a test kills must not be the test itself.
await main();
