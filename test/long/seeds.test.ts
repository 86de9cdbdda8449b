/** What `npm test` shows once, over many seeds: the killed run, and the dispatcher's properties. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DispatchTask, hopelessTasks, isActive, isDone, readyTasks } from '../../src/shared/planner/dispatch.ts';

const SEEDS = Number(process.env.AGENTSWARM_LONG_SEEDS ?? 3);

describe('a run whose worker and server are killed', () => {
  test.each(Array.from({ length: SEEDS }, (_, i) => 7_001 + 97 * i))(
    'ends with the same tree under seed %d',
    async (seed) => {
      const child = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/faults/sigkill.test.ts'], {
        env: { ...process.env, AGENTSWARM_FAULT_SEED: String(seed), AGENTSWARM_TESTS: '' },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += String(chunk)));
      const [code] = (await once(child, 'close')) as [number | null];
      expect(code, said.slice(-4_000)).toBe(0);
      expect(said).toContain(`seed ${seed}`);
      expect(said).toContain('1 passed');
    },
    400_000,
  );
});

describe('the dispatcher, played to the end', () => {
  const plan = fc.array(
    fc.record({
      priority: fc.integer({ min: 1, max: 10 }),
      scope: fc.array(fc.constantFrom('src/', 'src/a.ts', 'src/b/', 'docs/', 'docs/x.md'), { maxLength: 2 }),
      // Only on earlier ones: plans have no cycles.
      dependsOn: fc.array(fc.nat(20), { maxLength: 2 }),
      fails: fc.boolean(),
    }),
    { minLength: 1, maxLength: 20 },
  );

  test('every task ends, in any order of ends: landed, failed, or hopeless', () => {
    fc.assert(
      fc.property(plan, fc.integer({ min: 1, max: 5 }), fc.infiniteStream(fc.nat(100)), (records, workers, order) => {
        const tasks: (DispatchTask & { fails: boolean })[] = records.map((record, i) => ({
          id: `t${i}`,
          status: 'pending',
          branch: 'none',
          priority: record.priority,
          scope: record.scope,
          dependsOn: i === 0 ? [] : record.dependsOn.map((n) => `t${n % i}`),
          fails: record.fails,
        }));
        for (let step = 0; tasks.some(({ status }) => status === 'pending' || status === 'running'); step++) {
          expect(step, 'the plan stands still').toBeLessThan(200);
          for (const { id } of hopelessTasks(tasks)) tasks.find((task) => task.id === id)!.status = 'cancelled';
          for (const id of readyTasks(tasks, workers).ready) tasks.find((task) => task.id === id)!.status = 'running';
          const running = tasks.filter(isActive);
          expect(running.length).toBeLessThanOrEqual(workers);
          const ending = running[(order.next().value ?? 0) % Math.max(1, running.length)];
          if (ending === undefined) continue;
          ending.status = ending.fails ? 'failed' : 'complete';
          if (!ending.fails) ending.branch = 'landed';
        }
        for (const task of tasks) {
          if (task.status !== 'cancelled') continue;
          expect(task.dependsOn.some((id) => !isDone(tasks.find((other) => other.id === id)!))).toBe(true);
        }
      }),
      { numRuns: 20_000 },
    );
  }, 300_000);
});
