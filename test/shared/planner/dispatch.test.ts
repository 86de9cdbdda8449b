import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DispatchTask,
  hopelessTasks,
  isActive,
  isFinished,
  type PlanningInput,
  readyTasks,
  shouldPlan,
} from '../../../src/shared/planner/dispatch.ts';
import { scopesOverlap } from '../../../src/shared/planner/scopes.ts';
import { BRANCH_STATES, TASK_STATUSES } from '../../../src/shared/task/task-machine.ts';

const task = (id: string, more: Partial<DispatchTask> = {}): DispatchTask => ({
  id,
  status: 'pending',
  branch: 'none',
  priority: 5,
  scope: [],
  dependsOn: [],
  ...more,
});

describe('which tasks start', () => {
  test('the first by priority, then by age, up to the number of workers', () => {
    const tasks = [task('a'), task('b', { priority: 1 }), task('c'), task('d', { priority: 1 })];
    expect(readyTasks(tasks, 3).ready).toEqual(['b', 'd', 'a']);
  });

  test('those at work take places, those that wait to land do not', () => {
    const tasks = [
      task('a', { status: 'running' }),
      task('b', { status: 'complete', branch: 'queued' }),
      task('c'),
      task('d'),
    ];
    expect(readyTasks(tasks, 2).ready).toEqual(['c']);
  });

  test('a task waits until what it depends on has landed, not only until it is complete', () => {
    const queued = [task('a', { status: 'complete', branch: 'queued' }), task('b', { dependsOn: ['a'] })];
    expect(readyTasks(queued, 8).ready).toEqual([]);
    const landed = [task('a', { status: 'complete', branch: 'landed' }), task('b', { dependsOn: ['a'] })];
    expect(readyTasks(landed, 8).ready).toEqual(['b']);
  });

  test('a scope is held until its branch has landed', () => {
    const held = [
      task('a', { status: 'complete', branch: 'queued', scope: ['src/'] }),
      task('b', { scope: ['src/x.ts'] }),
    ];
    expect(readyTasks(held, 8).ready).toEqual([]);
    const free = [
      task('a', { status: 'complete', branch: 'landed', scope: ['src/'] }),
      task('b', { scope: ['src/x.ts'] }),
    ];
    expect(readyTasks(free, 8).ready).toEqual(['b']);
  });

  test('small tasks overtake a large one that waits for its scope, but only so often', () => {
    const tasks = (overtaken: number) => [
      task('running', { status: 'running', scope: ['src/a.ts'] }),
      task('large', { scope: ['src/'], overtaken }),
      task('small', { scope: ['src/b.ts'] }),
      task('elsewhere', { scope: ['docs/'] }),
    ];
    expect(readyTasks(tasks(4), 8)).toEqual({ ready: ['small', 'elsewhere'], overtaken: ['large'] });
    expect(readyTasks(tasks(5), 8)).toEqual({ ready: ['elsewhere'], overtaken: [] });
  });

  test('what waits for a task, and not for a scope, is not overtaken', () => {
    const tasks = [
      task('running', { status: 'running', scope: ['src/a.ts'] }),
      task('later', { scope: ['src/'], dependsOn: ['running'] }),
      task('small', { scope: ['src/b.ts'] }),
    ];
    expect(readyTasks(tasks, 8)).toEqual({ ready: ['small'], overtaken: [] });
  });

  test('never two whose scopes overlap, never more than there are workers, never before a dependency landed', () => {
    const paths = fc.constantFrom('src/', 'src/a.ts', 'src/b/', 'src/b/c.ts', 'docs/x.md', 'docs/');
    const arbitrary = fc.array(
      fc.record({
        status: fc.constantFrom(...TASK_STATUSES),
        branch: fc.constantFrom(...BRANCH_STATES),
        priority: fc.integer({ min: 1, max: 10 }),
        scope: fc.array(paths, { maxLength: 3 }),
        dependsOn: fc.array(
          fc.integer({ min: 0, max: 11 }).map((n) => `t${n}`),
          { maxLength: 2 },
        ),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 1, max: 6 }), (records, workers) => {
        const tasks = records.map((record, i) => ({ id: `t${i}`, ...record }));
        const before = tasks.filter(isActive);
        const { ready } = readyTasks(tasks, workers);
        expect(ready.length + before.length).toBeLessThanOrEqual(Math.max(workers, before.length));
        const started = tasks.filter(({ id }) => ready.includes(id));
        const holders = tasks.filter((t) => isActive(t) || t.branch === 'queued');
        for (const [i, one] of started.entries()) {
          expect(one.status).toBe('pending');
          for (const other of [...started.slice(i + 1), ...holders.filter((h) => h.id !== one.id)]) {
            expect(scopesOverlap(one.scope, other.scope), `${one.id} and ${other.id}`).toBe(false);
          }
          for (const id of one.dependsOn) {
            const dependency = tasks.find((t) => t.id === id);
            expect(dependency?.status).toBe('complete');
            expect(['landed', 'none']).toContain(dependency?.branch);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('what depends on a task that did not land is hopeless, and so is what depends on that', () => {
    const tasks = [
      task('a', { status: 'failed' }),
      task('b', { dependsOn: ['a'] }),
      task('c', { dependsOn: ['b'] }),
      task('d', { dependsOn: ['e'] }),
      task('e', { status: 'running' }),
    ];
    expect(hopelessTasks(tasks)).toEqual([
      { id: 'b', because: 'a' },
      { id: 'c', because: 'b' },
    ]);
  });
});

const at = (more: Partial<PlanningInput>): PlanningInput => ({
  planned: 1,
  done: false,
  active: 2,
  pending: 0,
  queued: 0,
  maxWorkers: 8,
  newHandoffs: 0,
  newTroubles: 0,
  steering: 0,
  replanAfter: 3,
  ...more,
});

describe('when it is planned', () => {
  test.each<[string, Partial<PlanningInput>, boolean]>([
    ['at first', { planned: 0, active: 0 }, true],
    ['not while work goes on and nothing is new', {}, false],
    ['at three new handoffs', { newHandoffs: 3 }, true],
    ['not at two', { newHandoffs: 2 }, false],
    ['not at three when there is no room', { newHandoffs: 3, active: 8 }, false],
    ['at three while workers are idle, though tasks wait for scopes', { newHandoffs: 3, pending: 20 }, true],
    ['not at three when very many wait', { newHandoffs: 3, pending: 24 }, false],
    ['when a person steers, in any state', { done: true, steering: 1 }, true],
    ['when nothing runs and something is new', { active: 0, queued: 1, newHandoffs: 1 }, true],
    ['not while only landings are waited for and nothing is new', { active: 0, queued: 1 }, false],
    ['when nothing is under way and it is not done', { active: 0 }, true],
    ['not when it is done and all is well', { active: 0, done: true, newHandoffs: 2 }, false],
    ['when it is done and something went wrong', { active: 0, done: true, newTroubles: 1 }, true],
    ['not yet, when it is done and something went wrong while others work', { done: true, newTroubles: 1 }, false],
  ])('%s', (_, more, expected) => {
    expect(shouldPlan(at(more))).toBe(expected);
  });

  test('a run that is not finished and has nothing under way always plans: it never stands still', () => {
    const small = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(
        fc.record({ planned: small, done: fc.boolean(), newHandoffs: small, newTroubles: small, steering: small }),
        (more) => {
          const state = at({ ...more, active: 0, pending: 0, queued: 0 });
          expect(shouldPlan(state) || isFinished(state)).toBe(true);
          expect(shouldPlan(state) && isFinished(state)).toBe(false);
        },
      ),
    );
  });
});
