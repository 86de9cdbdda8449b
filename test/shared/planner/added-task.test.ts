import { expect, test } from 'vitest';
import { AddTask } from '../../../src/shared/contracts/people.ts';
import { specOfAdded, whyNotAdded } from '../../../src/shared/planner/added-task.ts';
import { TaskId } from '../../../src/shared/base/ids.ts';
import { type KnownTask, workDigest } from '../../../src/shared/planner/plan-rules.ts';

const KNOWN: KnownTask[] = [
  { id: 'wash-up', status: 'running', branch: 'none', digest: workDigest('Wash up.') },
  { id: 'gone', status: 'failed', branch: 'none' },
];
const added = (description: string, more: object = {}) => AddTask.parse({ description, ...more });

test.each([
  ['Write the README', 'write-the-readme'],
  ['Über-größe: prüfen!', 'u-ber-gro-e-pru-fen'],
  ['Wash up', 'wash-up-2'],
  ['…', 'added'],
  ['Make everything that was ever written here faster than before', 'make-everything-that-was-ever'],
  ['x'.repeat(80), 'x'.repeat(32)],
])('the id of "%s" is %s', (description, id) => {
  const spec = specOfAdded(added(description), KNOWN);
  expect(spec.id).toBe(id);
  expect(TaskId.safeParse(spec.id).success).toBe(true);
});

test.each([
  ['the same work again', added('wash UP'), 'asks for the same as "wash-up"'],
  ['an id that is taken', added('Other work', { id: 'gone' }), 'was planned before'],
  ['a dependency that nobody knows', added('Other work', { dependsOn: ['nobody'] }), 'depends on "nobody"'],
  ['a dependency that is lost', added('Other work', { dependsOn: ['gone'] }), 'will not land'],
])('%s is refused', (_what, task, reason) => {
  expect(whyNotAdded(task, KNOWN, []).join('\n')).toContain(reason);
});

test('a division takes what lies in its scope, up to its size', () => {
  const within = { scope: ['lib/'], subtasks: 3 };
  expect(whyNotAdded(added('More', { scope: ['lib/x.ts'] }), KNOWN, [], within)).toEqual([]);
  expect(whyNotAdded(added('More', { scope: ['src/x.ts'] }), KNOWN, [], within).join()).toContain('outside the scope');
  expect(whyNotAdded(added('More'), KNOWN, [], { ...within, subtasks: 2 }).join()).toContain('at most 2 subtasks');
});
