import { expect, test } from 'vitest';
import {
  BRANCH_STATES,
  type BranchState,
  nextBranchState,
  nextTaskStatus,
  TASK_STATUSES,
  type TaskStatus,
} from '../../../src/shared/task/task-machine.ts';

const TASK: [TaskStatus, TaskStatus][] = [
  ['pending', 'assigned'],
  ['pending', 'cancelled'],
  ['assigned', 'running'],
  ['assigned', 'cancelled'],
  ['running', 'complete'],
  ['running', 'failed'],
  ['running', 'cancelled'],
  ['failed', 'pending'],
  ['complete', 'pending'],
  ['cancelled', 'pending'],
];

test('a task takes the transitions of the design and throws on every other', () => {
  for (const from of TASK_STATUSES) {
    for (const to of TASK_STATUSES) {
      const allowed = TASK.some(([a, b]) => a === from && b === to);
      if (allowed) expect(nextTaskStatus(from, to)).toBe(to);
      else expect(() => nextTaskStatus(from, to), `${from} → ${to}`).toThrow(`cannot go from ${from} to ${to}`);
    }
  }
});

const BRANCH: [BranchState, BranchState][] = [
  ['none', 'queued'],
  ['queued', 'landed'],
  ['queued', 'conflicted'],
  ['queued', 'ejected'],
  ['conflicted', 'queued'],
  ['conflicted', 'none'],
  ['ejected', 'queued'],
  ['ejected', 'none'],
];

test('what has landed never becomes anything else', () => {
  for (const from of BRANCH_STATES) {
    for (const to of BRANCH_STATES) {
      const allowed = BRANCH.some(([a, b]) => a === from && b === to);
      if (allowed) expect(nextBranchState(from, to)).toBe(to);
      else expect(() => nextBranchState(from, to), `${from} → ${to}`).toThrow('cannot go');
    }
  }
});
