import { describe, expect, test } from 'vitest';
import {
  type Handoff,
  type HandoffMessage,
  NO_METRICS,
  type OutcomeMessage,
} from '../../../../src/shared/contracts/task.ts';
import { PlannerState } from '../../../../src/workflows/planner/state/planner-state.ts';
import { reportTasks } from '../../../../src/workflows/planner/state/task-record.ts';

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

const LIMITS = { runId: 'run', maxWorkers: 8, maxAttempts: 2, replanAfter: 3, maxOutputTokens: 1_000 };

/** As it goes on after a continue-as-new. */
const carried = (state: PlannerState): PlannerState =>
  new PlannerState({ ...LIMITS, budget: { tokens: 300_000 } }, JSON.parse(JSON.stringify(state)));

/** With answers of 1,000 tokens nothing is begun with less than 18,000. */
function planned(tokens: number, ...ids: string[]): PlannerState {
  const state = new PlannerState({ ...LIMITS, budget: { tokens } });
  state.applyPlan({ scratchpad: SCRATCHPAD, tasks: ids.map((id) => spec(id)), done: true }, 0);
  return state;
}

function start(state: PlannerState): string[] {
  const ready = state.dispatch.ready();
  for (const { spec: each, attempt } of ready) {
    state.events.assigned(each.id, 0);
    state.events.started(each.id, chain(each.id, attempt.number));
  }
  return ready.map((task) => task.spec.id);
}

describe('a planner with a budget', () => {
  test('gives each task that starts an equal share, and keeps one for itself', () => {
    const state = planned(300_000, 'a', 'b');
    expect(start(state)).toEqual(['a', 'b']);
    expect(state.tasks.map((task) => state.dispatch.shareOf(task))).toEqual([{ tokens: 100_000 }, { tokens: 100_000 }]);
    expect(state.beginRound()).toEqual({ tokens: 50_000 });
  });

  test('starts no task for which too little is left, until another gives some back', () => {
    const state = planned(40_000, 'a', 'b', 'c');
    expect(start(state)).toEqual(['a', 'b']);
    expect(start(state)).toEqual([]);
    state.events.handoff(says('a', 'complete', 1_000), 1);
    expect(start(state)).toEqual(['c']);
    expect(state.status.closing).toBeUndefined();
  });

  test('closes when too little is left and nothing is under way; what is pending is given up and says why', () => {
    const state = planned(40_000, 'a', 'b', 'c');
    start(state);
    state.events.handoff(says('a', 'complete', 18_000), 1);
    state.closeWhenSpent();
    expect(state.status.closing).toBeUndefined();
    state.events.handoff(says('b', 'complete', 18_000), 1);
    expect(start(state)).toEqual([]);
    state.closeWhenSpent();
    expect(state.status.closing?.by).toBe('budget');
    expect(reportTasks(state.tasks)[2]).toMatchObject({ status: 'cancelled', reason: state.status.closing?.reason });
    expect(state.status.closing?.reason).toContain('36000 of 40000 tokens');
  });

  test('tells its model once when four fifths are spent', () => {
    const state = planned(100_000, 'a', 'b', 'c');
    start(state);
    state.events.handoff(says('a', 'complete', 79_000), 1);
    expect(state.takeNews().events).toEqual([]);
    state.events.handoff(says('b', 'complete', 1_000), 2);
    state.events.handoff(says('c', 'complete', 1_000), 3);
    const { events } = state.takeNews();
    expect(events).toHaveLength(1);
    expect(events[0]).toContain('80000 of 100000 tokens');
  });

  test('counts a share in full when its task is lost or was not measured', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'terminated' }, 1);
    expect(state.budget.limitedTo?.spent.tokens).toBe(100_000);
    state.events.handoff(says('b', 'failed', 0, { unmeasured: true }), 1);
    expect(state.budget.limitedTo?.spent.tokens).toBe(200_000);
  });

  test('keeps its reservations through continue-as-new', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    const again = carried(state);
    again.events.handoff(says('a', 'complete', 60_000), 1);
    expect(again.budget.limitedTo?.spent.tokens).toBe(60_000);
    expect(again.beginRound()).toEqual({ tokens: 70_000 });
  });
});

describe('a planner whose tasks are divided', () => {
  test('gives a task to one agent when its subplanner found nothing to divide, which counts as no failure', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.events.handoff({ ...says('a', 'failed', 500), direct: true }, 1);
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 2 }, direct: true });
    start(state);
    state.events.handoff(says('a', 'failed', 500, { commit: SHA }, 2), 2);
    // Of its two attempts by agents this was the first.
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 3 }, direct: true });
  });

  test('keeps what became of the subtasks, and the refs of work that did not land', () => {
    const state = planned(300_000, 'a');
    start(state);
    const below = { id: 'x', description: 'x', status: 'failed', branch: 'none', attempts: 1, conflicts: 0 } as const;
    state.events.handoff(
      says('a', 'complete', 1, { subtasks: [{ ...below, ref: 'refs/agentswarm/runs/run/a.1_x.1' }] }),
      1,
    );
    expect(reportTasks(state.tasks)[0]?.subtasks?.map(({ id }) => id)).toEqual(['x']);
  });
});

/** What could be reserved now. */
const freeTokens = (state: PlannerState): number => {
  const share = state.beginRound()?.tokens ?? 0;
  state.budget.roundEnded({ metrics: NO_METRICS });
  return share;
};

const landedLater = (tokens: number, more: Partial<OutcomeMessage> = {}): OutcomeMessage => ({
  id: 'a/outcome',
  sender: chain('a'),
  taskId: 'a',
  attempt: 1,
  outcome: { kind: 'ejected', reason: 'cut off', ref: 'r', refused: false },
  conflictMetrics: used(tokens),
  conflicts: 1,
  ...more,
});

describe('a task that is cancelled', () => {
  test('holds its share until it says what it has used; the rest is free then, and the report has what it used', () => {
    const state = planned(300_000, 'a');
    start(state);
    expect(state.commands.cancelTask('a', 'not now')).toEqual(chain('a'));
    expect(state.cancelled.chains).toEqual([chain('a')]);
    expect(state.budget.limitedTo?.spent.tokens).toBe(0);
    // Of the half that it does not hold: others may still give something back.
    expect(freeTokens(state)).toBe(75_000);
    const now = carried(state);
    now.events.handoff(says('a', 'failed', 700), 1);
    expect(now.budget.limitedTo?.spent.tokens).toBe(700);
    expect(now.budget.metrics.inputTokens).toBe(700);
    expect(freeTokens(now)).toBe(149_650);
    now.cancelled.ended(chain('a'));
    expect(now.cancelled.chains).toEqual([]);
    expect(freeTokens(now)).toBe(299_300);
    expect(reportTasks(now.tasks)).toMatchObject([{ id: 'a', status: 'cancelled', reason: 'not now', tokens: 700 }]);
  });

  test('counts a call that was cut off at its most, and nothing twice', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.commands.cancelTask('a', 'not now');
    const said = says('a', 'failed', 700, { estimated: { tokens: 3_000 } });
    for (let times = 0; times < 3; times++) state.events.handoff(said, 1);
    state.events.outcome(landedLater(9_999), 2);
    state.cancelled.ended(chain('a'));
    state.events.handoff(said, 3);
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'cancelled' }, 3);
    expect(state.budget.limitedTo?.spent.tokens).toBe(3_700);
    expect(state.budget.metrics.inputTokens).toBe(700);
    expect(state.budget.estimated).toEqual({ tokens: 3_000, usd: 0 });
  });

  test('counts in full when it ends without a word, or says that nothing is known', () => {
    const state = planned(300_000, 'a', 'b');
    start(state);
    state.commands.cancelTask('a', 'not now');
    state.commands.cancelTask('b', 'not now');
    state.cancelled.ended(chain('a'));
    expect(state.budget.limitedTo?.spent.tokens).toBe(100_000);
    state.events.handoff(says('b', 'failed', 700, { estimated: {} }), 1);
    state.cancelled.ended(chain('b'));
    expect(state.budget.limitedTo?.spent.tokens).toBe(200_000);
    expect(state.budget.metrics.inputTokens).toBe(700);
  });

  test('that had handed off meanwhile holds the rest of its share until its branch is told of', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.commands.cancelTask('a', 'not now');
    const complete = { ...says('a', 'complete', 700, { commit: SHA }), queued: true };
    state.events.handoff(complete, 1);
    state.events.handoff(complete, 1);
    expect(state.budget.limitedTo?.spent.tokens).toBe(700);
    expect(freeTokens(state)).toBe(75_000);
    state.events.outcome(landedLater(50, { conflictEstimated: { tokens: 1_000 } }), 2);
    state.events.outcome(landedLater(50), 2);
    expect(state.budget.limitedTo?.spent.tokens).toBe(1_750);
    expect(reportTasks(state.tasks)).toMatchObject([{ status: 'cancelled', tokens: 750 }]);
  });

  test('and tried again counts for the attempt that it was: the new one has a share of its own', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.commands.cancelTask('a', 'not now');
    state.commands.retry('a', undefined, 1);
    expect(start(state)).toEqual(['a']);
    expect(state.tasks.map((task) => [task.attempt.number, state.dispatch.shareOf(task)])).toEqual([
      [2, { tokens: 75_000 }],
    ]);
    state.events.handoff(says('a', 'failed', 700), 1);
    expect(state.tasks[0]).toMatchObject({ status: 'running', attempt: { number: 2 } });
    expect(state.dispatch.shareOf(state.tasks[0]!)).toEqual({ tokens: 75_000 });
    state.cancelled.ended(chain('a'));
    state.events.handoff(says('a', 'complete', 40, {}, 2), 2);
    expect(state.budget.limitedTo?.spent.tokens).toBe(740);
    expect(reportTasks(state.tasks)).toMatchObject([{ status: 'complete', tokens: 740 }]);
  });

  test('keeps the run from closing for want of what it may give back', () => {
    const state = planned(40_000, 'a', 'b', 'c');
    expect(start(state)).toEqual(['a', 'b']);
    state.events.handoff(says('b', 'complete', 18_000), 1);
    state.commands.cancelTask('a', 'not now');
    state.closeWhenSpent();
    expect(state.roundUnfunded()).toBe(true);
    expect(state.status.closing).toBeUndefined();
    state.events.handoff(says('a', 'failed', 100), 2);
    state.cancelled.ended(chain('a'));
    expect(start(state)).toEqual(['c']);
  });

  test('by somebody else than its planner is tried again, and what it used is known', () => {
    const state = planned(300_000, 'a');
    start(state);
    state.events.handoff(says('a', 'failed', 700), 1);
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'cancelled' }, 2);
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 2 } });
    expect(state.budget.limitedTo?.spent.tokens).toBe(700);
  });
});

describe('a planner that is cancelled itself', () => {
  test('counts what its tasks tell, tries none of them again, and hands up what nobody told at its most', () => {
    const state = planned(300_000, 'a', 'b', 'c', 'd');
    start(state);
    state.commands.cancelTask('d', 'not now');
    state.events.handoff({ ...says('c', 'complete', 500, { commit: SHA }), queued: true }, 1);
    state.commands.cutOff('enough');
    state.events.handoff(says('a', 'failed', 700, { estimated: { tokens: 2_000 } }), 2);
    expect(state.tasks[0]).toMatchObject({
      status: 'cancelled',
      outcome: { loss: { reason: 'enough' } },
      attempt: { number: 1 },
    });
    state.commands.cancelOpen('enough');
    const standing = reportTasks(state.tasks).map(({ id, status, branch, tokens }) => [id, status, branch, tokens]);
    expect(standing).toEqual([
      ['a', 'cancelled', 'none', 700],
      ['b', 'cancelled', 'none', undefined],
      ['c', 'complete', 'ejected', 500],
      ['d', 'cancelled', 'none', undefined],
    ]);
    expect(state.table.totals.retries).toBe(0);
    expect(state.budget.metrics.inputTokens).toBe(1_200);
    // Shares of 60,000: two in full, the rest of one.
    expect(state.budget.estimated).toEqual({ tokens: 2_000 + 60_000 + 59_500 + 60_000, usd: 0 });
    expect(state.cancelled.chains).toEqual([]);
  });

  test('counts what its model may have used of a call that was cut off', () => {
    const state = planned(300_000);
    state.beginRound();
    state.budget.roundEnded({ metrics: used(500), estimated: { tokens: 2_000 } });
    expect(state.budget.limitedTo?.spent.tokens).toBe(2_500);
    expect(state.budget.metrics.inputTokens).toBe(500);
  });
});
