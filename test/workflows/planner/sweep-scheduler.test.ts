/** What a run's sweeps say of its branch, on a planner's own state. How they are made: test/e2e/reconciler. */
import { describe, expect, test } from 'vitest';
import { newMemory } from '../../../src/shared/reconciler/judge.ts';
import { RUN_TEXT } from '../../../src/shared/planner/text.ts';
import { DEFAULT_RUN_SETTINGS } from '../../../src/shared/contracts/run-settings.ts';
import { PlannerState } from '../../../src/workflows/planner/state/planner-state.ts';
import type { CarriedSweeps } from '../../../src/workflows/planner/state/sweeps.ts';
import { newTask } from '../../../src/workflows/planner/state/task-record.ts';
import { SweepScheduler } from '../../../src/workflows/planner/sweep-scheduler.ts';
import { runContext } from '../../support/run-context.ts';

const SHA = 'c'.repeat(40);
const LIMITS = { runId: 'run', maxWorkers: 8, maxAttempts: 1, replanAfter: 3 };
const context = runContext('/x', SHA, { settings: { ...DEFAULT_RUN_SETTINGS, sweeps: 'auto' } });
const fix = { id: 'fix-1', description: 'Mend it', scope: [], acceptance: [], priority: 1, dependsOn: [] };
const child = { workflowId: 'run/fix-1.1', firstRunId: 'first' };

/** A state that carries this of its sweeps; carried through continue-as-new, as all of it may be at any time. */
function swept(more: Partial<CarriedSweeps>, change: (state: PlannerState) => void = () => undefined): PlannerState {
  const known = { memory: newMemory(), dueAt: 0, rounds: 0, lost: 0, ...more };
  const state = new PlannerState(LIMITS, { ...new PlannerState(LIMITS).toJSON(), sweeps: known });
  change(state);
  return new PlannerState(LIMITS, JSON.parse(JSON.stringify(state.toJSON())));
}
const sweeps = (mode: 'run' | 'reconcile' = 'run') =>
  new SweepScheduler(
    {
      planning: {
        chain: { workflowId: 'run', firstRunId: 'first' },
        children: undefined,
        endsStuck: true,
        hear: () => undefined,
      },
      tendStuck: () => undefined,
    },
    mode,
  );
const last = (verdict: 'green' | 'red' | 'unknown' | 'none', more: object = {}) => ({
  last: { verdict, at: 5, work: 0, ...more },
});
const mending = (state: PlannerState): void => state.table.add(newTask(fix, 0, { fix: true }));

describe('what is reported of the branch', () => {
  test('is nothing before the first verdict', () => {
    expect(sweeps().seen(swept({}), context)).toEqual({});
  });

  test.each([
    ['green', 'run', last('green'), undefined],
    ['green', 'reconcile', last('green'), undefined],
    ['red', 'run', last('red', { reason: 'types fail' }), RUN_TEXT.notGreen('main', 'types fail')],
    ['red since before the run', 'run', last('red', { reason: 'types fail', inherited: true }), undefined],
    ['unknown, which a run may end with', 'run', last('unknown', { reason: 'no sandbox' }), undefined],
    ['unknown', 'reconcile', last('unknown', { reason: 'no sandbox' }), RUN_TEXT.notShown('main', 'no sandbox')],
    ['none, which a run may end with', 'run', last('none'), undefined],
    ['none', 'reconcile', last('none'), RUN_TEXT.notShown('main', RUN_TEXT.noChecks)],
  ] as const)('is %s, of a run to %s', (_, mode, carried, notGreen) => {
    const seen = sweeps(mode).seen(swept(carried), context);
    expect(seen.notGreen).toBe(notGreen);
    const { work, ...green } = carried.last;
    expect(work).toBe(0);
    expect(seen.green).toEqual({ ...green, heals: 0 });
  });

  test('counts the fixes that have landed as heals', () => {
    const state = swept(last('green'), (before) => {
      mending(before);
      before.events.assigned('fix-1', 0);
      before.events.started('fix-1', child);
      const from = { sender: child, taskId: 'fix-1', attempt: 1 };
      const done = { status: 'complete' as const, summary: '', concerns: [], suggestions: [], filesChanged: [] };
      const metrics = before.budget.metrics;
      before.events.handoff({ id: 'h', ...from, handoff: { ...done, metrics, commit: SHA }, queued: true }, 1);
      const outcome = { kind: 'landed' as const, commit: SHA };
      before.events.outcome({ id: 'o', ...from, outcome, conflictMetrics: metrics, conflicts: 0 }, 2);
    });
    expect(sweeps().seen(state, context).green?.heals).toBe(1);
  });
});

test('fixes that are at work keep the next sweep until it is due; a run that is cancelled has none', () => {
  const red = { dueAt: 900_000, ...last('red'), memory: { ...newMemory(), frozen: true } };
  expect(sweeps().nextAt(swept(red), context)).toBe(0);
  expect(sweeps().nextAt(swept(red, mending), context)).toBe(Infinity);
  expect(
    sweeps().nextAt(
      swept(red, (state) => state.closeFor('cancel', 'enough')),
      context,
    ),
  ).toBe(Infinity);
});

test('the sweep that runs is known after a continue-as-new, to be asked after and to end with its run', () => {
  const running = { child: { workflowId: 'run/reconciler', firstRunId: 'a' }, work: 1, askedAt: 10_000 };
  const state = swept({ running });
  expect(sweeps().running(state)).toEqual([running.child]);
  expect(sweeps().nextAt(state, context)).toBe(70_000);
  expect(sweeps().running(swept({}))).toEqual([]);
});
