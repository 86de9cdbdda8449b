import { expect, test } from 'vitest';
import { isAtOrBelow, seenStuck } from '../../../src/shared/planner/stuck.ts';

const stuck = (workflowId: string, runId = workflowId) => ({
  workflowId,
  runId,
  type: 'agent',
  attempts: 6,
  reason: 'x',
});
const terms = (now: number, cancelled: string[] = []) => ({ now, stuckMs: 100, cancelled });

test('what cannot go on has its time from when it was first seen, and none where nothing is wanted of it', () => {
  const first = seenStuck([stuck('r/a.1/agent'), stuck('r/b.1')], [], terms(1_000));
  expect(first.map(({ since, endsAt }) => [since, endsAt])).toEqual([
    [1_000, 1_100],
    [1_000, 1_100],
  ]);
  const later = seenStuck([stuck('r/a.1/agent'), stuck('r/b.1'), stuck('r/c.1')], first, terms(1_050, ['r/a.1']));
  expect(later.map(({ since, endsAt }) => [since, endsAt])).toEqual([
    [1_000, 1_050],
    [1_000, 1_100],
    [1_050, 1_150],
  ]);
});

test('another run of the same id is another workflow, and one that goes on is forgotten', () => {
  const before = seenStuck([stuck('r/a.1', 'one'), stuck('r/b.1')], [], terms(1_000));
  expect(seenStuck([stuck('r/a.1', 'two')], before, terms(2_000))).toMatchObject([{ runId: 'two', since: 2_000 }]);
});

test.each([
  ['r/a.1', 'r/a.1', true],
  ['r/a.1/agent', 'r/a.1', true],
  ['r/a.10', 'r/a.1', false],
  ['r', 'r/a.1', false],
])('%s is at or below %s: %s', (id, above, is) => {
  expect(isAtOrBelow(id, above)).toBe(is);
});
