import { defineConfig } from 'vitest/config';

// Integration and e2e files each bring up real servers on a 2-core machine: one file at a time keeps
// them from starving each other; unit tests share nothing and may run side by side.
export default defineConfig({
  test: {
    reporters: ['default', ['json', { outputFile: 'test-artifacts/results.json' }]],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/*.test.ts', 'test/unit/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/integration/harness/livekit-setup.ts'],
          sequence: { groupOrder: 1 },
          fileParallelism: false,
          // a second, the default, is less than a busy machine may hold a process back
          expect: { poll: { timeout: 15_000 } },
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/integration/harness/livekit-setup.ts'],
          sequence: { groupOrder: 2 },
          fileParallelism: false,
          expect: { poll: { timeout: 15_000 } },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
