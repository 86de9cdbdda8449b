/** `npm run bench -- --list`, `npm run bench -- <name> [options]`. Each prints ratios against a floor of the same run. */
import { compare } from './compare/index.ts';
import { dispatch } from './dispatch/index.ts';
import { gate } from './gate/index.ts';
import { merge } from './merge/index.ts';
import { overhead } from './overhead/index.ts';
import { planning } from './planning/index.ts';
import { router } from './router/index.ts';
import { sandbox } from './sandbox/index.ts';
import { scale } from './scale/index.ts';

type Benchmark = { what: string; run: (args: readonly string[]) => Promise<void> };

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  compare: {
    what: 'this checkout against a commit on one of the benchmarks below, in turns: ratios of CPU and wall (--help)',
    run: (args) => compare(args, Object.keys(BENCHMARKS).slice(1)),
  },
  dispatch: {
    what: 'streaming dispatch against batch-and-wait and a list schedule; conflicts of real merges with and without locks',
    run: dispatch,
  },
  gate: {
    what: 'turnaround through the speculative gate, simulated on its decision code, against one that knows every verdict',
    run: gate,
  },
  merge: {
    what: 'landings a second of the merge queue, against chained plumbing and a loop of porcelain',
    run: merge,
  },
  overhead: {
    what: '100 agents in 100 sandboxes × 20 turns of 2 s, against a bare workflow whose activities only sleep',
    run: overhead,
  },
  planning: {
    what: "a run of 40 replans: how much of the planner's prompts is new, against sending all that is known each time",
    run: planning,
  },
  router: {
    what: '10,000 requests to a healthy and three bad endpoints, against round robin and one that knows the healthy one',
    run: router,
  },
  sandbox: {
    what: 'a fresh sandbox against `git clone -s`, a command against a bare bubblewrap, 100 sandboxes at once, memory',
    run: sandbox,
  },
  scale: {
    what: '2,000 small tasks under one planner against 200: CPU and events of a task, histories, state, prompts',
    run: scale,
  },
};

const [name, ...args] = process.argv.slice(2);
const benchmark = name === undefined ? undefined : BENCHMARKS[name];
if (name === undefined || name === '--list') {
  for (const [each, { what }] of Object.entries(BENCHMARKS)) console.log(`${each.padEnd(12)} ${what}`);
} else if (benchmark === undefined) {
  console.error(`There is no benchmark "${name}". \`npm run bench -- --list\` names them.`);
  process.exitCode = 2;
} else {
  await benchmark.run(args);
}
