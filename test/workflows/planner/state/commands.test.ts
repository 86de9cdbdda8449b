import { describe, expect, test } from 'vitest';
import { type BranchOutcome, type Handoff, NO_METRICS, type TaskSpec } from '../../../../src/shared/contracts/task.ts';
import { PLANNER_TEXT } from '../../../../src/shared/planner/text.ts';
import { PlannerState } from '../../../../src/workflows/planner/state/planner-state.ts';
import { packTasks, unpackTasks } from '../../../../src/workflows/planner/state/task-packing.ts';
import { reportTasks } from '../../../../src/workflows/planner/state/task-record.ts';

const SHA = 'c'.repeat(40);
const LIMITS = { runId: 'run', maxWorkers: 8, maxAttempts: 1, replanAfter: 3 };
const SCRATCHPAD = { goals: '', state: '', reasoning: '', intelligence: '' };

const spec = (id: string, dependsOn: string[] = []): TaskSpec => ({
  id,
  description: `Do ${id}\nwith care`,
  scope: [`src/${id}.ts`],
  acceptance: [{ text: 'it works', command: 'true' }],
  priority: 5,
  dependsOn,
});
const chain = (id: string, attempt = 1) => ({
  workflowId: `run/${id}.${attempt}`,
  firstRunId: `first-${id}-${attempt}`,
});
const handoff = (status: Handoff['status'], commit?: string): Handoff => ({
  status,
  summary: `${status} indeed`,
  concerns: [],
  suggestions: [],
  filesChanged: [],
  metrics: { ...NO_METRICS, inputTokens: 900, outputTokens: 100, costUsd: 1 },
  ...(commit === undefined ? {} : { commit }),
});

function planned(tasks: TaskSpec[], limits: object = {}, held = false): PlannerState {
  const state = new PlannerState({ ...LIMITS, ...limits });
  state.applyPlan({ scratchpad: SCRATCHPAD, tasks, done: true }, 0, held);
  return state;
}

function start(state: PlannerState): string[] {
  return state.ready().map(({ spec: { id }, attempt }) => {
    state.assigned(id, 0);
    state.started(id, chain(id, attempt));
    return `${id}.${attempt}`;
  });
}

function ends(state: PlannerState, id: string, what: Handoff, { attempt = 1, queued = false } = {}): void {
  const sender = chain(id, attempt);
  state.handoff({ id: `${sender.firstRunId}/handoff`, sender, taskId: id, attempt, handoff: what, queued }, 1);
}

function lands(state: PlannerState, id: string, outcome: BranchOutcome, attempt = 1): void {
  const sender = chain(id, attempt);
  const ids = { id: `${sender.firstRunId}/outcome`, sender, taskId: id, attempt };
  state.outcome({ ...ids, outcome, conflictMetrics: NO_METRICS, conflicts: 0 }, 2);
}

const taskOf = (state: PlannerState, id: string) => state.tasks.find((task) => task.spec.id === id);
const carried = (state: PlannerState, limits: object = {}): PlannerState =>
  new PlannerState({ ...LIMITS, ...limits }, JSON.parse(JSON.stringify(state.toJSON())));

describe('releasing', () => {
  const HELD = {
    by: 'tamper' as const,
    commit: SHA,
    ref: 'refs/agentswarm/runs/run/a.1',
    base: 'b'.repeat(40),
    summary: 'done',
    files: ['a.test.ts'],
  };
  const holding = (...tasks: TaskSpec[]): PlannerState => {
    const state = planned([spec('a'), ...tasks]);
    start(state);
    ends(state, 'a', { ...handoff('blocked', SHA), held: HELD });
    return state;
  };

  test('held work is carried, shown, and goes to its next attempt with the reason, and dependents come back', () => {
    const before = holding(spec('b', ['a']));
    expect(before.ready()).toEqual([]);
    const state = carried(before);
    expect(reportTasks(state.tasks)).toMatchObject([{ id: 'a', held: 'tamper' }, { status: 'cancelled' }]);
    const { retries } = state.totals();
    expect(state.whyNotReleased('a')).toBeUndefined();
    expect(state.release('a', 'as agreed', 5)).toEqual(['b']);
    expect(taskOf(state, 'a')).toMatchObject({ status: 'pending', heldWork: HELD, released: 'as agreed', attempt: 2 });
    expect(taskOf(state, 'a')?.previous).toBeUndefined();
    // Of the two, only `b` is done once more.
    expect(state.totals().retries).toBe(retries + 1);
    expect(state.planningInput().newTroubles).toBe(0);
    expect(start(state)).toEqual(['a.2']);
    expect(state.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'running'));
    ends(state, 'a', { ...handoff('complete', SHA), held: HELD }, { attempt: 2, queued: true });
    expect(state.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'waiting to land'));
    expect(reportTasks(state.tasks)[0]).not.toHaveProperty('held');
    lands(state, 'a', { kind: 'landed', commit: SHA }, 2);
    expect(state.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'landed'));
    expect(reportTasks(state.tasks)[0]).toMatchObject({ branch: 'landed', released: 'as agreed' });
    expect(start(state)).toEqual(['b.1']);
  });

  test('what a conflict made of it may be held again; what the queue ejects is not held any more', () => {
    const again = { ...HELD, by: 'guard' as const, ref: 'refs/agentswarm/runs/run/a.2.conflict-1' };
    for (const held of [again, undefined]) {
      const state = holding();
      state.release('a', '', 5);
      start(state);
      ends(state, 'a', { ...handoff('complete', SHA), held: HELD }, { attempt: 2, queued: true });
      const outcome = { kind: 'ejected' as const, reason: 'no', ref: HELD.ref, refused: false };
      lands(state, 'a', { ...outcome, ...(held === undefined ? {} : { held }) }, 2);
      expect(reportTasks(state.tasks)[0]?.held).toBe(held?.by);
      expect(taskOf(state, 'a')?.released).toBe(held === undefined ? '' : undefined);
      // A retry by an agent begins from the commit that the remote has.
      state.retry('a', undefined, 6);
      expect(taskOf(state, 'a')?.previous).toMatchObject({ commit: SHA, ref: HELD.ref });
      expect(taskOf(state, 'a')).not.toHaveProperty('heldWork');
    }
  });

  test('work that is not held, or of a run that begins nothing more, is refused with the reason', () => {
    const state = holding(spec('c'));
    ends(state, 'c', handoff('blocked', SHA));
    expect(state.whyNotReleased('c')).toBe(PLANNER_TEXT.notHeld('c', 'failed'));
    expect(state.whyNotReleased('z')).toBe(PLANNER_TEXT.noTask('z'));
    state.closeFor('person', 'enough');
    expect(state.whyNotReleased('a')).toBe(PLANNER_TEXT.closing('enough'));
  });

  test('what is held outlives the cuts of a state that is too long', () => {
    const packed = packTasks(holding().tasks, 10);
    expect(unpackTasks(JSON.parse(JSON.stringify(packed)) as typeof packed)[0]?.heldWork).toEqual(HELD);
  });
});

describe('trying again', () => {
  test('a failed task comes back whole, from its commit, with those that were cancelled because of it', () => {
    const state = planned([spec('a'), spec('b', ['a']), spec('c', ['b'])]);
    start(state);
    ends(state, 'a', handoff('failed', SHA));
    expect(state.ready()).toEqual([]);
    expect(state.tasks.map(({ status }) => status)).toEqual(['failed', 'cancelled', 'cancelled']);

    const later = carried(state);
    expect(later.whyNotRetried('b')).toBe(PLANNER_TEXT.dependsOnLost('b', 'a'));
    expect(later.whyNotRetried('a')).toBeUndefined();
    expect(later.retry('a', 'mind the gap', 5)).toEqual(['a', 'b', 'c']);
    expect(taskOf(later, 'a')?.spec).toEqual(spec('a'));
    expect(taskOf(later, 'a')?.previous).toMatchObject({ commit: SHA, ref: 'refs/agentswarm/runs/run/a.1' });
    expect(taskOf(later, 'a')?.previous?.summary).toContain('mind the gap');
    // What never started has its first attempt still before it.
    expect(start(later)).toEqual(['a.2']);
    ends(later, 'a', handoff('complete'), { attempt: 2 });
    expect(start(later)).toEqual(['b.1']);
    // That was answered by a person: it is no reason to plan again.
    expect(later.planningInput().newTroubles).toBe(0);
  });

  test('attempts are counted anew when people ask for it', () => {
    const state = planned([spec('a')], { maxAttempts: 2 });
    for (const attempt of [1, 2]) {
      expect(start(state)).toEqual([`a.${attempt}`]);
      ends(state, 'a', handoff('failed'), { attempt });
    }
    expect(taskOf(state, 'a')?.status).toBe('failed');
    state.retry('a', undefined, 5);
    for (const attempt of [3, 4]) {
      expect(start(state)).toEqual([`a.${attempt}`]);
      ends(state, 'a', handoff('failed'), { attempt });
    }
    expect(taskOf(state, 'a')).toMatchObject({ status: 'failed', attempt: 4 });
  });

  test('what conflicts is done anew on the branch; what was ejected goes on from its commit', () => {
    for (const [kind, commit] of [
      ['conflicted', undefined],
      ['ejected', SHA],
    ] as const) {
      const state = planned([spec('a')]);
      start(state);
      ends(state, 'a', handoff('complete', SHA), { queued: true });
      const outcome =
        kind === 'conflicted'
          ? { kind, files: ['x.ts'], ref: 'refs/x' }
          : { kind, reason: 'red', ref: 'refs/x', refused: false };
      state.outcome(
        { id: 'o', sender: chain('a'), taskId: 'a', attempt: 1, outcome, conflictMetrics: NO_METRICS, conflicts: 0 },
        2,
      );
      state.retry('a', undefined, 3);
      expect(taskOf(state, 'a')).toMatchObject({ status: 'pending', branch: 'none', attempt: 2 });
      expect(taskOf(state, 'a')?.previous?.commit).toBe(commit);
    }
  });

  test('what is done, under way, unknown, or too long ago is refused with the reason', () => {
    const state = planned([spec('a'), spec('b'), { ...spec('old'), description: 'x'.repeat(20_000) }]);
    start(state);
    ends(state, 'a', handoff('complete'));
    ends(state, 'old', handoff('failed'));
    expect(state.whyNotRetried('a')).toBe(PLANNER_TEXT.notLost('a', 'complete'));
    expect(state.whyNotRetried('b')).toBe(PLANNER_TEXT.notLost('b', 'running'));
    expect(state.whyNotRetried('x')).toBe(PLANNER_TEXT.noTask('x'));
    expect(state.whyNotRetried('old')).toBeUndefined();
    const tasks = ['p', 'q', 'r'].map((id) => ({ ...spec(id), description: `${id} ${'x'.repeat(19_900)}` }));
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks, done: true }, 2);
    start(state);
    for (const { id } of tasks) ends(state, id, handoff('failed'));
    expect(state.whyNotRetried('old')).toBe(PLANNER_TEXT.forgotten('old'));
    expect(state.whyNotRetried('r')).toBeUndefined();
    state.closeFor('person', 'enough');
    expect(state.whyNotRetried('r')).toBe(PLANNER_TEXT.closing('enough'));
  });
});

describe('an end in good order', () => {
  test('who is given up may hand off, is not tried again, and is overdue after its time', () => {
    const state = planned([spec('a'), spec('b'), spec('c', ['a'])], { maxAttempts: 3 });
    start(state);
    for (const id of ['a', 'b', 'c']) state.giveUp(id, 'late', 1_000);
    expect(state.tasks.map(({ status }) => status)).toEqual(['running', 'running', 'cancelled']);
    ends(state, 'a', handoff('partial', SHA));
    expect(taskOf(state, 'a')).toMatchObject({ status: 'failed', attempt: 1, ref: 'refs/agentswarm/runs/run/a.1' });
    expect(state.overdue(999)).toEqual([]);
    expect(state.nextOverdue).toBe(1_000);
    expect(carried(state).overdue(1_000)).toEqual([{ id: 'b', reason: 'late' }]);
    ends(state, 'b', handoff('complete', SHA), { queued: true });
    expect(taskOf(state, 'b')?.branch).toBe('queued');
    expect(state.nextOverdue).toBe(Infinity);
  });
});

describe('limits', () => {
  test('changed limits hold at once, and after a continue-as-new', () => {
    const state = planned([spec('a'), spec('b'), spec('c')], { maxWorkers: 1 });
    expect(start(state)).toEqual(['a.1']);
    state.limit({ maxWorkers: 2, maxAttempts: 5 });
    expect(start(carried(state, { maxWorkers: 1 }))).toEqual(['b.1']);
    expect(carried(state).tuned).toEqual({ maxWorkers: 2, maxAttempts: 5 });
  });

  test('less than is spent is refused; more lets a run go on that ended for want of it', () => {
    const state = planned([spec('a')], { budget: { usd: 1 }, maxOutputTokens: 1 });
    start(state);
    ends(state, 'a', handoff('complete'));
    state.closeWhenSpent();
    expect(state.closing?.by).toBe('budget');
    expect(state.whyNotLimited({ budget: { usd: 0.5 } })).toContain('$1.00');
    expect(state.whyNotLimited({ budget: { usd: 2 } })).toBeUndefined();
    state.limit({ budget: { usd: 2 } });
    expect(state.closing).toBeUndefined();
    expect(carried(state, { budget: { usd: 1 } }).budgetSeen?.total).toEqual({ usd: 2 });
  });
});

describe('plans that wait', () => {
  test('nothing of a held plan starts before it is approved, what people add does', () => {
    const state = planned([spec('a')], {}, true);
    state.add(spec('mine'), 1);
    expect([...state.heldPlans().keys()]).toEqual(['plan-1']);
    const later = carried(state);
    expect(start(later)).toEqual(['mine.1']);
    later.planDecided('plan-1', { approved: true, reason: '' });
    expect(start(later)).toEqual(['a.1']);
    expect(later.heldPlans().size).toBe(0);
  });

  test('a rejected plan is cancelled, and its planner is asked for another at once, with the reason', () => {
    const state = planned([spec('a'), spec('b', ['a'])], {}, true);
    state.planDecided('plan-1', { approved: false, reason: 'too much' });
    expect(state.tasks.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    expect(state.planningInput().steering).toBe(1);
    expect(state.takeNews().steering[0]).toContain('too much');
    state.planDecided('plan-1', { approved: true, reason: '' });
    expect(state.ready()).toEqual([]);
  });
});
