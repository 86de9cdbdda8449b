import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSettled } from '../../../../src/shared/planner/dispatch.ts';
import { CommitSha } from '../../../../src/shared/base/ids.ts';
import { BRANCH_STATES, TASK_STATUSES } from '../../../../src/shared/task/task-machine.ts';
import { packTasks, unpackTasks } from '../../../../src/workflows/planner/state/task-packing.ts';
import { shrink, type TaskRecord } from '../../../../src/workflows/planner/state/task-record.ts';

const landed = (i: number): TaskRecord => ({
  spec: {
    id: `task-${i}`,
    description: `${'A line of a description, '.repeat(4)}${i}`,
    scope: [],
    acceptance: [],
    priority: 5,
    dependsOn: [],
  },
  status: 'complete',
  branch: 'landed',
  attempt: 1,
  heardAt: 0,
  conflicts: 0,
  commit: CommitSha.parse(String(i).padStart(40, 'a')),
  digest: String(i).padStart(8, '0'),
  used: { tokens: 20_000, costUsd: 0.123456, durationMs: 61_000 },
  told: { concerns: ['A concern of some length that the planner has read and answered by now.'] },
});

const open: TaskRecord = {
  ...landed(9_999),
  status: 'running',
  branch: 'none',
  spec: { ...landed(9_999).spec, scope: ['src/a.ts'], acceptance: [{ text: 'It works.' }], dependsOn: ['task-1'] },
};

describe('tasks that are carried on', () => {
  test('come back as they were where there is room', () => {
    const tasks = [landed(1), open, landed(2)];
    expect(unpackTasks(packTasks(tasks, 100_000))).toEqual(tasks);
  });

  test('3,000 that have landed and 100 that are open fit 420,000 characters, ids, commits and order kept', () => {
    const tasks = Array.from({ length: 3_100 }, (_, i) =>
      i % 31 === 30 ? { ...open, spec: { ...open.spec, id: `open-${i}` } } : landed(i),
    );
    const packed = packTasks(tasks, 420_000);
    expect(JSON.stringify(packed).length).toBeLessThanOrEqual(420_000);
    const back = unpackTasks(packed);
    const known = ({ spec, status, branch, commit, digest, used }: TaskRecord) => [
      spec.id,
      status,
      branch,
      commit,
      digest,
      used,
    ];
    expect(back.map(known)).toEqual(tasks.map(known));
    expect(back.filter((task) => !isSettled(task))).toEqual(tasks.filter((task) => !isSettled(task)));
  });

  test('of what failed, what a person can still try again is kept as long as there is room for it', () => {
    const failed: TaskRecord = { ...open, status: 'failed', reason: 'It did not compile.' };
    const tasks = [failed, ...Array.from({ length: 500 }, (_, i) => landed(i))];
    expect(unpackTasks(packTasks(tasks, 80_000))[0]).toEqual(failed);
    expect(unpackTasks(packTasks(tasks, 10_000))[0]).toMatchObject({ status: 'failed', spec: { id: 'task-9999' } });
  });

  test('any record of a task that has shrunk survives, but for when it was heard of', () => {
    const arbitrary = fc.record({
      status: fc.constantFrom(...TASK_STATUSES),
      branch: fc.constantFrom(...BRANCH_STATES),
      attempt: fc.integer({ min: 1, max: 9 }),
      conflicts: fc.integer({ min: 0, max: 3 }),
      reason: fc.option(fc.string(), { nil: undefined }),
      description: fc.string({ minLength: 1 }),
      files: fc.array(fc.string()),
    });
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 20 }), (records) => {
        const tasks = records.map(({ reason, description, files, ...more }, i) => {
          const task: TaskRecord = { ...landed(i), ...more, told: { concerns: [], files } };
          task.spec.description = description;
          if (reason !== undefined) task.reason = reason;
          shrink(task);
          return task;
        });
        const carried = JSON.parse(JSON.stringify(packTasks(tasks, 1_000_000))) as ReturnType<typeof packTasks>;
        expect(unpackTasks(carried)).toEqual(tasks);
      }),
      { numRuns: 200 },
    );
  });
});
