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
  return state.dispatch.ready().map(({ spec: { id }, attempt: { number } }) => {
    state.events.assigned(id, 0);
    state.events.started(id, chain(id, number));
    return `${id}.${number}`;
  });
}

function ends(state: PlannerState, id: string, what: Handoff, { attempt = 1, queued = false } = {}): void {
  const sender = chain(id, attempt);
  state.events.handoff({ id: `${sender.firstRunId}/handoff`, sender, taskId: id, attempt, handoff: what, queued }, 1);
}

function lands(state: PlannerState, id: string, outcome: BranchOutcome, attempt = 1): void {
  const sender = chain(id, attempt);
  const ids = { id: `${sender.firstRunId}/outcome`, sender, taskId: id, attempt };
  state.events.outcome({ ...ids, outcome, conflictMetrics: NO_METRICS, conflicts: 0 }, 2);
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
    expect(before.dispatch.ready()).toEqual([]);
    const state = carried(before);
    expect(reportTasks(state.tasks)).toMatchObject([{ id: 'a', held: 'tamper' }, { status: 'cancelled' }]);
    const { retries } = state.table.totals;
    expect(state.commands.whyNotReleased('a')).toBeUndefined();
    expect(state.commands.release('a', 'as agreed', 5)).toEqual(['b']);
    expect(taskOf(state, 'a')).toMatchObject({
      status: 'pending',
      outcome: { heldWork: HELD },
      attempt: { number: 2, release: 'as agreed' },
    });
    expect(taskOf(state, 'a')?.attempt.previous).toBeUndefined();
    // Of the two, only `b` is done once more.
    expect(state.table.totals.retries).toBe(retries + 1);
    expect(state.planningInput().newTroubles).toBe(0);
    expect(start(state)).toEqual(['a.2']);
    expect(state.commands.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'running'));
    ends(state, 'a', { ...handoff('complete', SHA), held: HELD }, { attempt: 2, queued: true });
    expect(state.commands.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'waiting to land'));
    expect(reportTasks(state.tasks)[0]).not.toHaveProperty('held');
    lands(state, 'a', { kind: 'landed', commit: SHA }, 2);
    expect(state.commands.whyNotReleased('a')).toBe(PLANNER_TEXT.notHeld('a', 'landed'));
    expect(reportTasks(state.tasks)[0]).toMatchObject({ branch: 'landed', released: 'as agreed' });
    expect(start(state)).toEqual(['b.1']);
  });

  test('what a conflict made of it may be held again; what the queue ejects is not held any more', () => {
    const again = { ...HELD, by: 'guard' as const, ref: 'refs/agentswarm/runs/run/a.2.conflict-1' };
    for (const held of [again, undefined]) {
      const state = holding();
      state.commands.release('a', '', 5);
      start(state);
      ends(state, 'a', { ...handoff('complete', SHA), held: HELD }, { attempt: 2, queued: true });
      const outcome = { kind: 'ejected' as const, reason: 'no', ref: HELD.ref, refused: false };
      lands(state, 'a', { ...outcome, ...(held === undefined ? {} : { held }) }, 2);
      expect(reportTasks(state.tasks)[0]?.held).toBe(held?.by);
      expect(taskOf(state, 'a')?.attempt.release).toBe(held === undefined ? '' : undefined);
      // A retry by an agent begins from the commit that the remote has.
      state.commands.retry('a', undefined, 6);
      expect(taskOf(state, 'a')?.attempt.previous).toMatchObject({ commit: SHA, ref: HELD.ref });
      expect(taskOf(state, 'a')?.outcome.heldWork).toBeUndefined();
    }
  });

  test('is tried once more where its attempt ended without a word, or its id was taken', () => {
    const state = holding();
    state.commands.limit({ maxAttempts: 3 });
    state.commands.release('a', 'as agreed', 5);
    state.dispatch.ready();
    state.events.assigned('a', 6);
    state.events.notStarted('a', 'taken');
    expect(start(state)).toEqual(['a.3']);
    state.events.found('a', chain('a', 3), { kind: 'failed', reason: 'terminated' }, 7);
    expect(taskOf(state, 'a')).toMatchObject({
      attempt: { number: 4, release: 'as agreed' },
      outcome: { heldWork: HELD },
    });
    start(state);
    ends(state, 'a', handoff('failed'), { attempt: 4 });
    // What an agent is to do anew is released no more.
    expect(taskOf(state, 'a')?.attempt.release).toBeUndefined();
    expect(taskOf(state, 'a')?.outcome.heldWork).toBeUndefined();
  });

  test('work that is not held, or of a run that begins nothing more, is refused with the reason', () => {
    const state = holding(spec('c'));
    ends(state, 'c', handoff('blocked', SHA));
    expect(state.commands.whyNotReleased('c')).toBe(PLANNER_TEXT.notHeld('c', 'failed'));
    expect(state.commands.whyNotReleased('z')).toBe(PLANNER_TEXT.noTask('z'));
    state.closeFor('person', 'enough');
    expect(state.commands.whyNotReleased('a')).toBe(PLANNER_TEXT.closing('enough'));
  });

  test('what is held outlives the cuts of a state that is too long', () => {
    const packed = packTasks(holding().tasks, 10);
    expect(unpackTasks(JSON.parse(JSON.stringify(packed)) as typeof packed)[0]?.outcome.heldWork).toEqual(HELD);
  });
});

describe('trying again', () => {
  test('a failed task comes back whole, from its commit, with those that were cancelled because of it', () => {
    const state = planned([spec('a'), spec('b', ['a']), spec('c', ['b'])]);
    start(state);
    ends(state, 'a', handoff('failed', SHA));
    expect(state.dispatch.ready()).toEqual([]);
    expect(state.tasks.map(({ status }) => status)).toEqual(['failed', 'cancelled', 'cancelled']);

    const later = carried(state);
    expect(later.commands.whyNotRetried('b')).toBe(PLANNER_TEXT.dependsOnLost('b', 'a'));
    expect(later.commands.whyNotRetried('a')).toBeUndefined();
    expect(later.commands.retry('a', 'mind the gap', 5)).toEqual(['a', 'b', 'c']);
    expect(taskOf(later, 'a')?.spec).toEqual(spec('a'));
    expect(taskOf(later, 'a')?.attempt.previous).toMatchObject({ commit: SHA, ref: 'refs/agentswarm/runs/run/a.1' });
    expect(taskOf(later, 'a')?.attempt.previous?.summary).toContain('mind the gap');
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
    state.commands.retry('a', undefined, 5);
    for (const attempt of [3, 4]) {
      expect(start(state)).toEqual([`a.${attempt}`]);
      ends(state, 'a', handoff('failed'), { attempt });
    }
    expect(taskOf(state, 'a')).toMatchObject({ status: 'failed', attempt: { number: 4 } });
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
      state.events.outcome(
        { id: 'o', sender: chain('a'), taskId: 'a', attempt: 1, outcome, conflictMetrics: NO_METRICS, conflicts: 0 },
        2,
      );
      state.commands.retry('a', undefined, 3);
      expect(taskOf(state, 'a')).toMatchObject({ status: 'pending', branch: 'none', attempt: { number: 2 } });
      expect(taskOf(state, 'a')?.attempt.previous?.commit).toBe(commit);
    }
  });

  test('what is done, under way, unknown, or too long ago is refused with the reason', () => {
    const state = planned([spec('a'), spec('b'), { ...spec('old'), description: 'x'.repeat(20_000) }]);
    start(state);
    ends(state, 'a', handoff('complete'));
    ends(state, 'old', handoff('failed'));
    expect(state.commands.whyNotRetried('a')).toBe(PLANNER_TEXT.notLost('a', 'complete'));
    expect(state.commands.whyNotRetried('b')).toBe(PLANNER_TEXT.notLost('b', 'running'));
    expect(state.commands.whyNotRetried('x')).toBe(PLANNER_TEXT.noTask('x'));
    expect(state.commands.whyNotRetried('old')).toBeUndefined();
    const tasks = ['p', 'q', 'r'].map((id) => ({ ...spec(id), description: `${id} ${'x'.repeat(19_900)}` }));
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks, done: true }, 2);
    start(state);
    for (const { id } of tasks) ends(state, id, handoff('failed'));
    expect(state.commands.whyNotRetried('old')).toBe(PLANNER_TEXT.forgotten('old'));
    expect(state.commands.whyNotRetried('r')).toBeUndefined();
    state.closeFor('person', 'enough');
    expect(state.commands.whyNotRetried('r')).toBe(PLANNER_TEXT.closing('enough'));
  });
});

describe('an end in good order', () => {
  test('who is given up may hand off, is not tried again, and is overdue after its time', () => {
    const state = planned([spec('a'), spec('b'), spec('c', ['a'])], { maxAttempts: 3 });
    start(state);
    for (const id of ['a', 'b', 'c']) state.commands.giveUp(id, 'late', 1_000);
    expect(state.tasks.map(({ status }) => status)).toEqual(['running', 'running', 'cancelled']);
    ends(state, 'a', handoff('partial', SHA));
    expect(taskOf(state, 'a')).toMatchObject({
      status: 'failed',
      attempt: { number: 1 },
      outcome: { ref: 'refs/agentswarm/runs/run/a.1' },
    });
    expect(state.commands.overdue(999)).toEqual([]);
    expect(state.commands.nextOverdue).toBe(1_000);
    expect(carried(state).commands.overdue(1_000)).toEqual([{ id: 'b', reason: 'late' }]);
    ends(state, 'b', handoff('complete', SHA), { queued: true });
    expect(taskOf(state, 'b')?.branch).toBe('queued');
    expect(state.commands.nextOverdue).toBe(Infinity);
  });
});

describe('a fresh attempt', () => {
  test('of a task that a division had given back to one agent is no division', () => {
    const state = planned([spec('a')], { maxAttempts: 3 });
    const [first] = state.dispatch.ready();
    state.events.assigned('a', 0);
    state.events.started('a', chain('a'), true);
    expect(first?.attempt.lent).toBeDefined();
    expect(state.table.divisions()).toEqual([chain('a')]);
    const message = { id: 'm', sender: chain('a'), taskId: 'a', attempt: 1, handoff: handoff('failed'), queued: false };
    state.events.handoff({ ...message, direct: true }, 1);
    expect(start(state)).toEqual(['a.2']);
    expect(state.table.divisions()).toEqual([]);
    expect(taskOf(state, 'a')).toMatchObject({ direct: true, status: 'running' });
  });

  test('has nothing of the one before but what it goes on from', () => {
    const state = planned([spec('a')], { maxAttempts: 2 });
    start(state);
    const checks = [{ name: 'types', status: 'failed' as const }];
    ends(state, 'a', { ...handoff('failed', SHA), checks });
    expect(taskOf(state, 'a')?.attempt).toEqual({
      number: 2,
      heardAt: 1,
      previous: { summary: 'failed indeed', commit: SHA, ref: 'refs/agentswarm/runs/run/a.1' },
    });
    expect(reportTasks(state.tasks)[0]?.criteria).toEqual({ met: 0, of: 1, failed: ['types'] });
    start(state);
    ends(state, 'a', handoff('failed'), { attempt: 2 });
    // Nobody has checked that handoff.
    expect(reportTasks(state.tasks)[0]).not.toHaveProperty('criteria');
  });

  test('that a person has given up while it was being started stays so under its next number', () => {
    const state = planned([spec('a')]);
    state.dispatch.ready();
    state.events.assigned('a', 0);
    state.commands.giveUp('a', 'late', 1_000);
    state.events.notStarted('a', 'taken');
    expect(taskOf(state, 'a')?.attempt).toMatchObject({ number: 2, givenUp: { reason: 'late', until: 1_000 } });
  });
});

describe('limits', () => {
  test('changed limits hold at once, and after a continue-as-new', () => {
    const state = planned([spec('a'), spec('b'), spec('c')], { maxWorkers: 1 });
    expect(start(state)).toEqual(['a.1']);
    state.commands.limit({ maxWorkers: 2, maxAttempts: 5 });
    expect(start(carried(state, { maxWorkers: 1 }))).toEqual(['b.1']);
    expect(carried(state).limits.tuned).toEqual({ maxWorkers: 2, maxAttempts: 5 });
  });

  test('less than is spent is refused; more lets a run go on that ended for want of it', () => {
    const state = planned([spec('a')], { budget: { usd: 1 }, maxOutputTokens: 1 });
    start(state);
    ends(state, 'a', handoff('complete'));
    state.closeWhenSpent();
    expect(state.status.closing?.by).toBe('budget');
    expect(state.commands.whyNotLimited({ budget: { usd: 0.5 } })).toContain('$1.00');
    expect(state.commands.whyNotLimited({ budget: { usd: 2 } })).toBeUndefined();
    state.commands.limit({ budget: { usd: 2 } });
    expect(state.status.closing).toBeUndefined();
    expect(carried(state, { budget: { usd: 1 } }).budget.limitedTo?.total).toEqual({ usd: 2 });
  });
});

describe('plans that wait', () => {
  test('nothing of a held plan starts before it is approved, what people add does', () => {
    const state = planned([spec('a')], {}, true);
    state.commands.add(spec('mine'), 1);
    expect([...state.commands.unapprovedPlans().keys()]).toEqual(['plan-1']);
    const later = carried(state);
    expect(start(later)).toEqual(['mine.1']);
    later.commands.planDecided('plan-1', { approved: true, reason: '' });
    expect(start(later)).toEqual(['a.1']);
    expect(later.commands.unapprovedPlans().size).toBe(0);
  });

  test('a rejected plan is cancelled, and its planner is asked for another at once, with the reason', () => {
    const state = planned([spec('a'), spec('b', ['a'])], {}, true);
    state.commands.planDecided('plan-1', { approved: false, reason: 'too much' });
    expect(state.tasks.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
    expect(state.planningInput().steering).toBe(1);
    expect(state.takeNews().steering[0]).toContain('too much');
    state.commands.planDecided('plan-1', { approved: true, reason: '' });
    expect(state.dispatch.ready()).toEqual([]);
  });
});
