import { expect, test } from 'vitest';
import { tasksToResume } from '../../../../src/workflows/planner/state/resume.ts';
import { newTask, type TaskRecord } from '../../../../src/workflows/planner/state/task-record.ts';

const task = (id: string, status: TaskRecord['status'], branch: TaskRecord['branch']): TaskRecord => ({
  ...newTask(
    { id, description: `Do ${id}. ${'x'.repeat(500)}`, scope: [], acceptance: [], priority: 5, dependsOn: [] },
    0,
  ),
  status,
  branch,
});

test('a new conversation of a long run is told what is open or lost first, then the newest that is done, and how many are older', () => {
  const done = Array.from({ length: 2_000 }, (_, i) => task(`done-${i}`, 'complete', 'landed'));
  const tasks = [
    task('lost', 'failed', 'none'),
    ...done,
    task('queued', 'complete', 'queued'),
    task('open', 'pending', 'none'),
  ];
  const resume = tasksToResume(tasks);
  expect(resume.tasks.map(({ id }) => id).slice(0, 5)).toEqual(['lost', 'queued', 'open', 'done-1999', 'done-1998']);
  expect(resume.older).toBe(1_900);
  expect(JSON.stringify(resume).length).toBeLessThan(20_000);
});

test('a short run is told whole', () => {
  const resume = tasksToResume([task('a', 'complete', 'landed'), task('b', 'running', 'none')]);
  expect(resume.tasks.map(({ id, status }) => [id, status])).toEqual([
    ['b', 'running'],
    ['a', 'complete'],
  ]);
  expect(resume).not.toHaveProperty('older');
});
