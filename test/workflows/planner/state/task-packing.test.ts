import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isDone, isSettled } from '../../../../src/shared/planner/dispatch.ts';
import { CommitSha } from '../../../../src/shared/base/ids.ts';
import { BRANCH_STATES, TASK_STATUSES } from '../../../../src/shared/task/task-machine.ts';
import { packTasks, unpackTasks } from '../../../../src/workflows/planner/state/task-packing.ts';
import type { TaskRecord } from '../../../../src/workflows/planner/state/task-record.ts';

const COMMIT = CommitSha.parse('c'.repeat(40));

const landed = (i: number): TaskRecord => ({
  spec: {
    id: `task-${i}`,
    description: `${'A line of a description, '.repeat(4)}${i}`,
    scope: [],
    acceptance: [],
    priority: 5,
    dependsOn: [],
  },
  digest: String(i).padStart(8, '0'),
  status: 'complete',
  branch: 'landed',
  tries: { earlier: 0, uncounted: 0, overtaken: 0 },
  attempt: { number: 1, heardAt: 0, begun: true },
  outcome: {
    used: { tokens: 20_000, costUsd: 0.123456, durationMs: 61_000 },
    conflicts: 0,
    summary: { concerns: ['A concern of some length that the planner has read and answered by now.'] },
    landed: { commit: CommitSha.parse(String(i).padStart(40, 'a')) },
  },
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
    const known = ({ spec, status, branch, digest, outcome: { landed: landing, used } }: TaskRecord) => [
      spec.id,
      status,
      branch,
      landing?.commit,
      digest,
      used,
    ];
    expect(back.map(known)).toEqual(tasks.map(known));
    expect(back.filter((task) => !isSettled(task))).toEqual(tasks.filter((task) => !isSettled(task)));
  });

  test('of what failed, what a person can still try again is kept as long as there is room for it', () => {
    const spec = { ...open.spec, description: 'As it was planned.' };
    const outcome = { conflicts: 0, used: landed(0).outcome.used, loss: { reason: 'It did not compile.', spec } };
    const failed: TaskRecord = { ...open, status: 'failed', outcome };
    const tasks = [failed, ...Array.from({ length: 500 }, (_, i) => landed(i))];
    expect(unpackTasks(packTasks(tasks, 80_000))[0]).toEqual(failed);
    expect(unpackTasks(packTasks(tasks, 10_000))[0]).toMatchObject({
      status: 'failed',
      spec: { id: 'task-9999' },
      // Of its next attempt's number and of what it is to do nothing is lost.
      attempt: { number: 1, begun: true },
      outcome: { loss: { spec } },
    });
  });

  test('any record comes back whole, but for when a settled one was heard of', () => {
    const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
    const text = fc.string();
    const count = fc.integer({ min: 0, max: 9 });
    const chain = fc.record({ workflowId: text, firstRunId: text });
    const previous = fc.record({ summary: text, commit: fc.constant(COMMIT), ref: text });
    const lent = fc.record({ round: count, most: count, held: count, wants: count, heard: count });
    const held = { by: 'tamper' as const, commit: COMMIT, ref: 'refs/x', base: COMMIT, summary: 'x', files: ['a'] };
    const settledSpec = (id: string, description: string) => ({ ...landed(0).spec, id, description });
    const arbitrary: fc.Arbitrary<TaskRecord> = fc.record({
      spec: fc.record({ id: text, description: text }).map(({ id, description }) => settledSpec(id, description)),
      digest: some(fc.string({ minLength: 1 })),
      fix: some(fc.constant(true)),
      direct: some(fc.constant(true)),
      status: fc.constantFrom(...TASK_STATUSES),
      branch: fc.constantFrom(...BRANCH_STATES),
      tries: fc.record({ earlier: count, uncounted: count, overtaken: count }),
      attempt: fc.record({
        number: fc.integer({ min: 1, max: 9 }),
        heardAt: count,
        unapprovedPlan: some(text),
        previous: some(previous),
        release: some(text),
        givenUp: some(fc.record({ reason: text, until: count })),
        begun: some(fc.constant(true)),
        child: some(chain),
        lent: some(lent),
      }),
      outcome: fc.record({
        used: fc.record({ tokens: count, costUsd: count, durationMs: count }),
        conflicts: count,
        summary: some(
          fc.record({
            concerns: fc.array(text),
            suggestions: some(fc.array(text)),
            files: some(fc.array(text)),
            criteria: some(fc.record({ met: count, of: count, failed: some(fc.array(text)) })),
          }),
        ),
        work: some(fc.constant({ commit: COMMIT, ref: 'refs/y' })),
        ref: some(text),
        heldWork: some(fc.constant(held)),
        landed: some(fc.record({ commit: fc.constant(COMMIT), warning: some(text) })),
        loss: some(fc.record({ reason: text, dependency: some(text), spec: some(fc.constant(open.spec)) })),
        successor: some(text),
      }),
    });
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 20 }), (tasks) => {
        const carried = JSON.parse(JSON.stringify(packTasks(tasks, 1_000_000))) as ReturnType<typeof packTasks>;
        const expected = tasks.map((task) =>
          isDone(task) ? { ...task, attempt: { ...task.attempt, heardAt: 0 } } : task,
        );
        expect(unpackTasks(carried)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });
});

test('a task with every field is carried under the names that the first version wrote', () => {
  const task: TaskRecord = {
    ...open,
    tries: { earlier: 1, uncounted: 2, overtaken: 3 },
    attempt: {
      ...{ number: 4, heardAt: 5, begun: true, unapprovedPlan: 'plan-1', release: 'agreed' },
      child: { workflowId: 'run/a.4', firstRunId: 'f' },
      lent: { round: 0, most: 1, held: 1, wants: 1, heard: 0 },
    },
    outcome: {
      conflicts: 6,
      summary: { concerns: ['c'], subtasks: [], criteria: { met: 1, of: 2 } },
      work: { commit: COMMIT, ref: 'refs/y' },
      landed: { commit: COMMIT, warning: 'w' },
      loss: { reason: 'r', dependency: 'd', spec: open.spec },
    },
  };
  expect(packTasks([task], 1_000_000)).toEqual([
    {
      ...{ spec: open.spec, digest: '00009999', status: 'running', branch: 'none' },
      ...{ before: 1, taken: 2, overtaken: 3, attempt: 4, heardAt: 5, begun: 4, held: 'plan-1', released: 'agreed' },
      ...{ child: task.attempt.child, divided: true, workers: task.attempt.lent, conflicts: 6 },
      ...{ told: { concerns: ['c'] }, subtasks: [], criteria: { met: 1, of: 2 }, left: task.outcome.work },
      ...{ commit: COMMIT, warning: 'w', reason: 'r', lostWith: 'd', whole: open.spec },
    },
  ]);
});
