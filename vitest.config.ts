import { defineConfig } from 'vitest/config';

const long = process.env.AGENTSWARM_LONG_TESTS === '1';

export default defineConfig({
  test: {
    include: long ? ['test/long/**/*.test.ts'] : ['test/**/*.test.ts'],
    exclude: long ? [] : ['test/long/**'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    diff: { truncateThreshold: 100 },
  },
});
