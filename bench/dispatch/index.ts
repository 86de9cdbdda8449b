/**
 * Streaming dispatch by the product's own state and decisions: its makespan against batch-and-wait and against a
 * list schedule that knows everything, what scopes cost as locks, and how many merges conflict without them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryOf } from './merges.ts';
import { batchAndWait, busiestPath, listSchedule, type Simulated, stream, type Timing } from './simulate.ts';
import { makeJobs } from './workload.ts';

type Row = { bound: number; lockedBound: number; free: Simulated; batch: number; locked: Simulated };

export async function dispatch(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: 'string', default: '100' },
      workers: { type: 'string', default: '8' },
      // What one round of planning plans, and how long it takes. A task takes 13 minutes in the mean.
      planned: { type: 'string', default: '12' },
      'plan-minutes': { type: 'string', default: '1' },
      'land-minutes': { type: 'string', default: '0.2' },
      seeds: { type: 'string', default: '20' },
      // Real git merges take a second each seed.
      'merge-seeds': { type: 'string', default: '5' },
    },
  });
  const timing = {
    workers: Number(values.workers),
    planned: Number(values.planned),
    planMinutes: Number(values['plan-minutes']),
    landMinutes: Number(values['land-minutes']),
  };
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);
  const rows = seeds.map((seed) => measure(Number(values.tasks), seed, timing));
  console.log(
    `${values.tasks} tasks of log-normal length, ${timing.workers} at once, ${timing.planned} planned in a round of ` +
      `${timing.planMinutes} min, landing ${timing.landMinutes} min; seeds 1 to ${seeds.length}`,
  );
  print(rows);
  const merged = seeds.slice(0, Number(values['merge-seeds'])).map((seed) => ({
    locked: merge(Number(values.tasks), seed, timing, true),
    free: merge(Number(values.tasks), seed, timing, false),
  }));
  const sum = (which: 'locked' | 'free') => merged.reduce((all, each) => all + each[which].conflicts, 0);
  const all = merged.length * Number(values.tasks);
  console.log(
    `conflicts at real merges, ${all} branches       ${sum('locked')} with scopes as locks, ${sum('free')} without ` +
      `(${((100 * sum('free')) / all).toFixed(1)} %)`,
  );
}

function measure(tasks: number, seed: number, timing: Timing): Row {
  const jobs = makeJobs(tasks, seed);
  return {
    bound: listSchedule(jobs, timing.workers),
    lockedBound: Math.max(listSchedule(jobs, timing.workers), busiestPath(jobs)),
    batch: batchAndWait(jobs, timing),
    free: stream(jobs, timing, undefined, false),
    locked: stream(jobs, timing),
  };
}

function merge(tasks: number, seed: number, timing: Timing, locks: boolean): { landed: number; conflicts: number } {
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  try {
    const repository = repositoryOf(join(dir, 'origin.git'), seed);
    stream(makeJobs(tasks, seed), timing, repository, locks);
    return repository.counts;
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function print(rows: readonly Row[]): void {
  const line = (what: string, values: readonly number[], target = '') => {
    const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
    console.log(
      `${what.padEnd(44)} ${mean.toFixed(3)} in the mean, worst ${Math.max(...values).toFixed(3)}${target === '' ? '' : ` (target ${target})`}`,
    );
  };
  const of = (ratio: (row: Row) => number) => rows.map(ratio);
  line(
    'streaming ÷ list schedule',
    of((row) => row.free.makespan / row.bound),
    '≤ 1.1',
  );
  line(
    'streaming ÷ batch-and-wait',
    of((row) => row.free.makespan / row.batch),
  );
  line(
    'scopes as locks ÷ streaming without',
    of((row) => row.locked.makespan / row.free.makespan),
  );
  line(
    'with locks ÷ the busiest path by itself',
    of((row) => row.locked.makespan / row.lockedBound),
  );
  const overlaps = (which: 'locked' | 'free') => rows.reduce((sum, row) => sum + row[which].overlaps, 0);
  console.log(
    `${'overlapping tasks at once'.padEnd(44)} ${overlaps('locked')} with scopes as locks (target 0), ${overlaps('free')} without`,
  );
}
