import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import LongestFirst from './test/support/sequencer.ts';

// Tests start some 200 commands and workers: each takes half of the CPU when it finds its modules compiled.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('./node_modules/.cache/node', import.meta.url));

const ALL = 'test/**/*.test.ts';
const SLOW = 'test/**/*.slow.test.ts';
const LONG = 'test/long/**/*.test.ts';
/** What infra/gates asks for; by itself vitest finds all but the long ones. */
const SETS: Readonly<Record<string, { include: string[]; exclude: string[] }>> = {
  usual: { include: [ALL], exclude: [LONG, SLOW] },
  slow: { include: [SLOW], exclude: [LONG] },
  long: { include: [LONG], exclude: [] },
};

export default defineConfig({
  test: {
    ...(SETS[process.env.AGENTSWARM_TESTS ?? ''] ?? { include: [ALL], exclude: [LONG] }),
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', './test/support/reporter.ts'],
    pool: 'forks',
    // Twice the cores that the time limit is meant for: tests wait a lot, for servers, processes and deadlines.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    diff: { truncateThreshold: 100 },
  },
});
