import { describe, expect, test } from 'vitest';
import { type Handoff, type HandoffMessage, NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { PlannerState } from '../../../src/workflows/planner/state.ts';
import { reportTasks } from '../../../src/workflows/planner/tasks/records.ts';

const SCRATCHPAD = { goals: 'g', state: '', reasoning: '', intelligence: '' };
const SHA = 'c'.repeat(40);
const chain = (id: string, attempt = 1) => ({
  workflowId: `run/${id}.${attempt}`,
  firstRunId: `first-${id}-${attempt}`,
});
const spec = (id: string, dependsOn: string[] = []) => ({
  id,
  description: `Do ${id}`,
  scope: [],
  acceptance: [],
  priority: 5,
  dependsOn,
});

const used = (tokens: number) => ({ ...NO_METRICS, turns: 1, inputTokens: tokens });
const says = (id: string, status: Handoff['status'], tokens: number, more: Partial<Handoff> = {}, attempt = 1) =>
  ({
    id: `${id}/${attempt}`,
    sender: chain(id, attempt),
    taskId: id,
    attempt,
    queued: false,
    handoff: {
      status,
      summary: 's',
      concerns: [],
      suggestions: [],
      filesChanged: [],
      metrics: used(tokens),
      ...more,
    },
  }) satisfies HandoffMessage;

/** With answers of 1,000 tokens nothing is begun with less than 18,000. */
function planned(tokens: number, ...ids: string[]): PlannerState {
  const limits = { runId: 'run', maxWorkers: 8, maxAttempts: 2, replanAfter: 3, maxOutputTokens: 1_000 };
  const state = new PlannerState({ ...limits, budget: { tokens } });
  state.applyPlan({ scratchpad: SCRATCHPAD, tasks: ids.map((id) => spec(id)), done: true }, 0);
  return state;
}

function start(state: PlannerState): string[] {
  const ready = state.ready();
  for (const { spec: each, attempt } of ready) {
    state.assigned(each.id, 0);
    state.started(each.id, chain(each.id, attempt));
  }
  return ready.map((task) => task.spec.id);
}

describe('a planner with a budget', () => {
  test('gives each task that starts an equal share, and keeps one for itself', () => {
    const state = planned(300_000, 'a', 'b');
    expect(start(state)).toEqual(['a', 'b']);
    expect(state.tasks.map((task) => state.shareOf(task))).toEqual([{ tokens: 100_000 }, { tokens: 100_000 }]);
    expect(state.beginRound()).toEqual({ tokens: 50_000 });
  });

  test('starts no task for which too little is left, until another gives some back', () => {
    const state = planned(40_000, 'a', 'b', 'c');
    expect(start(state)).toEqual(['a', 'b']);
    expect(start(state)).toEqual([]);
    state.handoff(says('a', 'complete', 1_000), 1);
    expect(start(state)).toEqual(['c']);
    expect(state.closing).toBeUndefined();
  });

  test('closes when too little is left and nothing is under way; what is pending is given up and says why', () => {
    const state = planned(40_000, 'a', 'b', 'c');
    start(state);
    state.handoff(says('a', 'complete', 18_000), 1);
    state.closeWhenSpent();
    expect(state.closing).toBeUndefined();
    state.handoff(says('b', 'complete', 18_000), 1);
    expect(start(state)).toEqual([]);
    state.closeWhenSpent();
    expect(state.closing?.by).toBe('budget');
    expect(reportTasks(state.tasks)[2]).toMatchObject({ status: 'cancelled', reason: state.closing?.reason });
    expect(state.closing?.reason).toContain('36000 of 40000 tokens');
  });

  test('tells its model once when four fifths are spent', () => {
    const state = planned(100_000, 'a', 'b', 'c');
    start(state);
    state.handoff(says('a', 'complete', 79_000), 1);
    expect(state.takeNews().events).toEqual([]);
    state.handoff(says('b', 'complete', 1_000), 2);
    state.handoff(says('c', 'complete', 1_000), 3);
    const { events } = state.takeNews();
    expect(events).toHaveLength(1);
    expect(events[0]).toContain('80000 of 100000 tokens');
  });

  test('counts a share in full when its task is lost or was not measured', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    state.found('a', chain('a'), { kind: 'failed', reason: 'terminated' }, 1);
    expect(state.budgetSeen?.spent.tokens).toBe(100_000);
    state.handoff(says('b', 'failed', 0, { unmeasured: true }), 1);
    expect(state.budgetSeen?.spent.tokens).toBe(200_000);
  });

  test('keeps its reservations through continue-as-new', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    const limits = { runId: 'run', maxWorkers: 8, maxAttempts: 2, replanAfter: 3, maxOutputTokens: 1_000 };
    const again = new PlannerState({ ...limits, budget: { tokens: 300_000 } }, JSON.parse(JSON.stringify(state)));
    again.handoff(says('a', 'complete', 60_000), 1);
    expect(again.budgetSeen?.spent.tokens).toBe(60_000);
    expect(again.beginRound()).toEqual({ tokens: 70_000 });
  });
});

describe('a planner whose tasks are divided', () => {
  test('gives a task to one agent when its subplanner found nothing to divide, which counts as no failure', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.handoff({ ...says('a', 'failed', 500), direct: true }, 1);
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: 2, direct: true });
    start(state);
    state.handoff(says('a', 'failed', 500, { commit: SHA }, 2), 2);
    // Of its two attempts by agents this was the first.
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: 3, direct: true });
  });

  test('keeps what became of the subtasks, and the refs of work that did not land', () => {
    const state = planned(300_000, 'a');
    start(state);
    const below = { id: 'x', description: 'x', status: 'failed', branch: 'none', attempts: 1, conflicts: 0 } as const;
    state.handoff(says('a', 'complete', 1, { subtasks: [{ ...below, ref: 'refs/agentswarm/runs/run/a.1_x.1' }] }), 1);
    expect(reportTasks(state.tasks)[0]?.subtasks?.map(({ id }) => id)).toEqual(['x']);
  });

  test('a task that a person cancels is waited for, and what it held counts as spent', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    expect(state.cancelTask('a', 'not now')).toEqual(chain('a'));
    expect(state.winding).toEqual([chain('a')]);
    expect(state.budgetSeen?.spent.tokens).toBe(100_000);
    state.handoff(says('a', 'complete', 5), 1);
    expect(state.tasks[0]).toMatchObject({ status: 'cancelled', reason: 'not now' });
    state.wound(chain('a'));
    expect(state.winding).toEqual([]);
  });
});
