import { describe, expect, test } from 'vitest';
import {
  type Handoff,
  type HandoffMessage,
  NO_METRICS,
  type OutcomeMessage,
} from '../../../../src/shared/contracts/task.ts';
import type { BranchOutcome } from '../../../../src/shared/contracts/task.ts';
import { PlannerState } from '../../../../src/workflows/planner/state/planner-state.ts';
import { countTasks, unlandedRefs, reportTasks } from '../../../../src/workflows/planner/state/task-record.ts';

const SHA = 'c'.repeat(40);
const LIMITS = { runId: 'run', maxWorkers: 8, maxAttempts: 2, replanAfter: 3 };
const SCRATCHPAD = { goals: 'g', state: '', reasoning: '', intelligence: '' };

const spec = (id: string, dependsOn: string[] = []) => ({
  id,
  description: `Do ${id}\nwith care`,
  scope: [`src/${id}.ts`],
  acceptance: [],
  priority: 5,
  dependsOn,
});
const chain = (id: string, attempt = 1, firstRunId = `first-${id}-${attempt}`) => ({
  workflowId: `run/${id}.${attempt}`,
  firstRunId,
});
const handoff = (status: Handoff['status'], commit?: string): Handoff => ({
  status,
  summary: `${status} indeed`,
  concerns: [],
  suggestions: [],
  filesChanged: [],
  metrics: { ...NO_METRICS, turns: 1, costUsd: 0.5 },
  ...(commit === undefined ? {} : { commit }),
});
const says = (id: string, what: Handoff, queued: boolean, sender = chain(id)): HandoffMessage => ({
  id: `${sender.firstRunId}/handoff`,
  sender,
  taskId: id,
  attempt: Number(sender.workflowId.split('.').at(-1)),
  handoff: what,
  queued,
});
const ends = (id: string, outcome: BranchOutcome, sender = chain(id)): OutcomeMessage => ({
  id: `${sender.firstRunId}/outcome`,
  sender,
  taskId: id,
  attempt: Number(sender.workflowId.split('.').at(-1)),
  outcome,
  conflictMetrics: NO_METRICS,
  conflicts: 0,
});

function running(...ids: string[]): PlannerState {
  const state = new PlannerState(LIMITS);
  state.applyPlan({ scratchpad: SCRATCHPAD, tasks: ids.map((id) => spec(id)), done: false }, 0);
  for (const {
    spec: { id },
  } of state.dispatch.ready()) {
    state.events.assigned(id, 0);
    state.events.started(id, chain(id));
  }
  return state;
}

describe('what could not go on', () => {
  const ended = (workflowId: string) => ({
    workflowId,
    runId: 'x',
    type: 'agent',
    attempts: 6,
    reason: 'No good',
    since: 0,
    endsAt: 0,
  });

  test('is why its task failed, whether the task or its agent was ended', () => {
    const state = running('a', 'b', 'c');
    state.stuck.ends([ended('run/a.1'), ended('run/b.1/agent')]);
    for (const id of ['a', 'b', 'c']) state.events.found(id, chain(id), { kind: 'failed', reason: 'terminated' }, 1);
    const why = (id: string) => state.tasks.find(({ spec }) => spec.id === id)?.attempt.previous?.summary;
    expect(why('a')).toContain('run/a.1 could not go on');
    expect(why('b')).toContain('No good');
    expect(why('c')).toBe('terminated');
  });

  test('is why, also where the task has handed off that it failed', () => {
    const state = running('a');
    state.stuck.ends([ended('run/a.1/agent')]);
    state.events.handoff(says('a', handoff('failed'), false), 1);
    expect(state.tasks[0]?.attempt.previous?.summary).toContain('No good');
  });

  test('is waited for no longer than it may take to end it, once it is cancelled', () => {
    const state = running('a');
    state.commands.cancelTask('a', 'wrong');
    expect(state.cancelled.overdue(1_000)).toEqual([]);
    expect(state.cancelled.overdue(120_999)).toEqual([]);
    expect(new PlannerState(LIMITS, state.toJSON()).cancelled.overdue(121_000)).toEqual([chain('a')]);
    expect(state.cancelled.overdue(241_000)).toEqual([]);
    expect(state.cancelled.chains).toEqual([]);
  });
});

describe('what a planner hears', () => {
  test('a handoff and its landing count once, however often they arrive', () => {
    const state = running('a');
    const message = says('a', handoff('complete', SHA), true);
    for (let i = 0; i < 3; i++) state.events.handoff(message, 1);
    for (let i = 0; i < 3; i++) state.events.outcome(ends('a', { kind: 'landed', commit: SHA }), 2);
    expect(state.budget.metrics.costUsd).toBe(0.5);
    expect(state.planningInput().newHandoffs).toBe(1);
    expect(countTasks(state.tasks).landed).toBe(1);
    expect(state.takeNews().events).toEqual([`Task a landed as ${SHA.slice(0, 10)}.`]);
  });

  test('a message of another chain under the same workflow id is dropped', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('complete', SHA), true, chain('a', 1, 'somebody-else')), 1);
    expect(state.tasks[0]?.status).toBe('running');
    state.events.handoff(says('a', handoff('complete', SHA), true), 1);
    state.events.outcome(ends('a', { kind: 'landed', commit: SHA }, chain('a', 1, 'somebody-else')), 2);
    expect(state.tasks[0]?.branch).toBe('queued');
  });

  test('a failed task is tried again from its commit, then it is given up, and the planner is told', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('failed', SHA), false), 1);
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 2, previous: { commit: SHA } } });
    const [again] = state.dispatch.ready();
    expect(again?.spec.id).toBe('a');
    state.events.assigned('a', 2);
    state.events.started('a', chain('a', 2));
    state.events.handoff(says('a', handoff('failed'), false), 3);
    expect(state.tasks[0]?.status).toBe('running');
    state.events.handoff(says('a', handoff('failed'), false, chain('a', 2)), 3);
    expect(state.tasks[0]).toMatchObject({ status: 'failed', attempt: { number: 2 } });
    expect(state.planningInput().newTroubles).toBe(1);
    expect(unlandedRefs(state.tasks)).toEqual(['refs/agentswarm/runs/run/a.1']);
  });

  test('a blocked task is not tried again by itself', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('blocked'), false), 1);
    expect(state.tasks[0]).toMatchObject({ status: 'failed', attempt: { number: 1 } });
    expect(state.dispatch.ready()).toEqual([]);
  });

  test('a task whose workflow was terminated becomes a failed attempt', () => {
    const state = running('a');
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'terminated' }, 9);
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 2 } });
  });

  test('a task that ended while its signals were lost is taken from its result', () => {
    const state = running('a');
    const result = {
      handoff: handoff('complete', SHA),
      outcome: { kind: 'landed', commit: SHA } as const,
      conflictMetrics: NO_METRICS,
      conflicts: 1,
    };
    state.events.found('a', chain('a'), { kind: 'completed', result }, 9);
    expect(state.tasks[0]).toMatchObject({
      status: 'complete',
      branch: 'landed',
      outcome: { landed: { commit: SHA }, conflicts: 1 },
    });
    expect(state.table.totals.conflicts).toBe(1);
    expect(state.budget.metrics.costUsd).toBe(0.5);
  });

  test('a remote that refuses pushes stops the run: nothing more starts', () => {
    const state = running('a', 'b');
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks: [spec('c')], done: true }, 1);
    state.events.handoff(says('a', handoff('complete', SHA), true), 1);
    state.events.outcome(ends('a', { kind: 'ejected', reason: 'protected', ref: 'refs/x', refused: true }), 2);
    expect(state.status.refused).toBe('protected');
    expect(state.dispatch.ready()).toEqual([]);
    expect(unlandedRefs(state.tasks)).toEqual(['refs/x']);
  });

  test('a landing that took away what others had landed is trouble for the planner, and in the report', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('complete', SHA), true), 1);
    const warning = 'its landing removed what others had landed: a.ts: 1 line of run/b.1 (x = 1)';
    state.events.outcome(ends('a', { kind: 'landed', commit: SHA, warning }), 2);
    const { events, troubles } = state.takeNews();
    expect(troubles).toBe(1);
    expect(events.at(-1)).toContain(warning);
    expect(reportTasks(state.tasks)[0]).toMatchObject({ branch: 'landed', warning });
  });

  test('a change that the remote refuses for what is in it does not end the run', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('complete', SHA), true), 1);
    state.events.outcome(ends('a', { kind: 'ejected', reason: 'a secret in it', ref: 'refs/x', refused: false }), 2);
    expect(state.status.refused).toBeUndefined();
    expect(state.takeNews()).toMatchObject({ troubles: 1 });
    expect(unlandedRefs(state.tasks)).toEqual(['refs/x']);
  });

  test('a refusal that may be for one change ends the run when it comes twice in a row', () => {
    const state = running('a', 'b', 'c', 'd');
    const refusal = { kind: 'ejected', reason: 'no', ref: 'refs/x', refused: true, doubtful: true } as const;
    const end = (id: string, outcome: BranchOutcome): void => {
      state.events.handoff(says(id, handoff('complete', SHA), true), 1);
      state.events.outcome(ends(id, outcome), 2);
    };
    end('a', refusal);
    end('b', { kind: 'landed', commit: SHA });
    end('c', refusal);
    expect(state.status.refused).toBeUndefined();
    end('d', refusal);
    expect(state.status.refused).toBe('no');
  });

  test('what depends on a task that was given up is cancelled, with the reason', () => {
    const state = running('a');
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks: [spec('b', ['a'])], done: true }, 1);
    state.events.handoff(says('a', handoff('blocked'), false), 1);
    expect(state.dispatch.ready()).toEqual([]);
    expect(reportTasks(state.tasks).find(({ id }) => id === 'b')).toMatchObject({
      status: 'cancelled',
      reason: 'depends on a, which did not land',
    });
  });

  test('news that a failed round did not use are told in the next one', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('complete'), false), 1);
    state.commands.steer('be quick');
    const news = state.takeNews();
    expect(state.takeNews()).toMatchObject({ handoffs: [], steering: [] });
    state.news.giveBack(news);
    expect(state.takeNews()).toMatchObject({ handoffs: [{ taskId: 'a' }], steering: ['be quick'] });
  });

  test('its whole state survives being written as JSON at any step', () => {
    const steps: ((state: PlannerState) => void)[] = [
      (s) => s.applyPlan({ scratchpad: SCRATCHPAD, tasks: [spec('a'), spec('b', ['a'])], done: true }, 0),
      (s) => s.events.assigned('a', 1),
      (s) => s.events.started('a', chain('a')),
      (s) => s.events.handoff(says('a', handoff('complete', SHA), true), 2),
      (s) => s.events.outcome(ends('a', { kind: 'landed', commit: SHA }), 3),
      (s) => s.events.assigned(s.dispatch.ready()[0]?.spec.id ?? 'none', 4),
      (s) => s.events.started('b', chain('b')),
      (s) => s.events.handoff(says('b', handoff('complete'), false), 5),
    ];
    const straight = new PlannerState(LIMITS);
    let carried = new PlannerState(LIMITS);
    for (const step of steps) {
      step(straight);
      carried = new PlannerState(LIMITS, JSON.parse(JSON.stringify(carried.toJSON())));
      step(carried);
    }
    expect(carried.toJSON()).toEqual(straight.toJSON());
    const news = straight.takeNews();
    expect(news.events).not.toEqual([]);
    expect(carried.takeNews()).toEqual(news);
    expect(countTasks(carried.tasks)).toMatchObject({ complete: 2, landed: 1 });
  });

  test('a handoff that arrives before the start of its task is known counts once it is', () => {
    const state = new PlannerState(LIMITS);
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks: [spec('a')], done: false }, 0);
    state.events.assigned('a', 0);
    state.events.handoff(says('a', handoff('complete'), false), 1);
    state.events.handoff(says('a', handoff('failed'), false, chain('a', 1, 'somebody-else')), 1);
    expect(state.tasks[0]?.status).toBe('assigned');
    state.events.started('a', chain('a'));
    expect(state.tasks[0]?.status).toBe('complete');
    expect(state.planningInput().newHandoffs).toBe(1);
  });

  test('what the server says of a task that has spoken meanwhile changes nothing', () => {
    const state = running('a', 'b');
    state.events.handoff(says('a', handoff('complete'), false), 1);
    const before = JSON.stringify(state.toJSON());
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'terminated' }, 9);
    state.events.found('a', chain('a'), { kind: 'completed', result: null }, 9);
    expect(JSON.stringify(state.toJSON())).toBe(before);
  });

  test('work of a task that was lost while it waited to land keeps its ref', () => {
    const state = running('a');
    state.events.handoff(says('a', handoff('complete', SHA), true), 1);
    state.events.found('a', chain('a'), { kind: 'failed', reason: 'terminated' }, 9);
    expect(state.tasks[0]?.branch).toBe('ejected');
    expect(unlandedRefs(state.tasks)).toEqual(['refs/agentswarm/runs/run/a.1']);
  });

  test('attempts whose ids were taken are not failures of the task, and a retry knows the ref of its commit', () => {
    const state = new PlannerState(LIMITS);
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks: [spec('a')], done: false }, 0);
    state.events.assigned('a', 0);
    state.events.notStarted('a', 'taken');
    state.events.assigned('a', 0);
    state.events.started('a', chain('a', 2));
    state.events.handoff(says('a', handoff('failed', SHA), false, chain('a', 2)), 1);
    const previous = { commit: SHA, ref: 'refs/agentswarm/runs/run/a.2' };
    expect(state.tasks[0]).toMatchObject({ status: 'pending', attempt: { number: 3, previous } });
    state.events.assigned('a', 2);
    state.events.started('a', chain('a', 3));
    state.events.handoff(says('a', handoff('failed'), false, chain('a', 3)), 3);
    expect(state.tasks[0]?.status).toBe('failed');
  });

  test('500 tasks with long handoffs, half of them cancelled, are carried in less than 450 kB', () => {
    const state = new PlannerState({ ...LIMITS, maxWorkers: 500, maxAttempts: 1 });
    const long = 'x'.repeat(4_000);
    for (let round = 0; round < 10; round++) {
      const ids = Array.from({ length: 50 }, (_, i) => `task-${round}-${i}`);
      const tasks = ids.map((id, i) => ({
        ...spec(id, i % 2 === 1 ? [ids[i - 1] ?? ''] : []),
        description: long,
      }));
      state.applyPlan({ scratchpad: SCRATCHPAD, tasks, done: true }, 0);
      for (const {
        spec: { id },
      } of state.dispatch.ready()) {
        state.events.assigned(id, 0);
        state.events.started(id, chain(id));
        const points = Array.from({ length: 50 }, () => long);
        state.events.handoff(
          says(id, { ...handoff('failed', SHA), summary: long, concerns: points, suggestions: points }, false),
          1,
        );
      }
      state.dispatch.ready();
    }
    expect(countTasks(state.tasks)).toMatchObject({ failed: 250, cancelled: 250 });
    expect(JSON.stringify(state.toJSON()).length).toBeLessThan(450_000);
    const news = state.takeNews();
    expect(JSON.stringify(news).length).toBeLessThan(150_000);
    expect(news.handoffs.at(-1)?.taskId).toBe('task-9-48');
  });
});
