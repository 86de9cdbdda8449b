/**
 * A run on a clock of its own: the product's state and decisions say what is started and when it is planned again;
 * only the time that tasks, landings and rounds of planning take is made up.
 */
import { isFinished, shouldPlan } from '../../src/shared/planner/dispatch.ts';
import { scopesOverlap } from '../../src/shared/planner/scopes.ts';
import { NO_METRICS } from '../../src/shared/contracts/task.ts';
import { TaskSpec } from '../../src/shared/contracts/task.ts';
import { DEFAULT_RUN_SETTINGS } from '../../src/shared/contracts/run-settings.ts';
import { PlannerState } from '../../src/workflows/planner/state/planner-state.ts';
import type { Job } from './workload.ts';

export type Timing = {
  workers: number;
  /** What one round of planning plans. */
  planned: number;
  planMinutes: number;
  landMinutes: number;
};

/** What happens to the code: called in the order of the clock. */
export type Work = { started(job: Job): void; landing(job: Job): void };

export type Simulated = {
  makespan: number;
  rounds: number;
  /** Pairs of tasks with overlapping scopes that were under way at the same time. */
  overlaps: number;
  /** The most that were under way, those that wait to land included. */
  peak: number;
};

type Event = { at: number; order: number; happen: () => void };

const COMMIT = '0'.repeat(40);

/** Streaming dispatch, as a planner workflow does it. With `locks: false` no task names what it may change. */
export function stream(jobs: readonly Job[], timing: Timing, work?: Work, locks = true): Simulated {
  const { workers, planned, planMinutes, landMinutes } = timing;
  const state = new PlannerState({ ...DEFAULT_RUN_SETTINGS, runId: 'bench', maxWorkers: workers, budget: {} });
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const events: Event[] = [];
  const underWay = new Map<string, Job>();
  let now = 0;
  let order = 0;
  let offered = 0;
  let planning = false;
  let rounds = 0;
  let overlaps = 0;
  let peak = 0;
  const after = (minutes: number, happen: () => void): void => {
    events.push({ at: now + minutes, order: order++, happen });
  };
  const plan = (): void => {
    planning = true;
    rounds += 1;
    state.takeNews();
    after(planMinutes, () => {
      planning = false;
      const tasks = jobs
        .slice(offered, offered + planned)
        .map(({ id, priority, scope }) =>
          TaskSpec.parse({ id, description: `Do ${id}.`, priority, scope: locks ? scope : [] }),
        );
      offered += tasks.length;
      const scratchpad = { goals: '', state: '', reasoning: '', intelligence: '' };
      state.applyPlan({ scratchpad, tasks, done: offered === jobs.length }, now);
    });
  };
  const start = (id: string): void => {
    const job = byId.get(id);
    if (job === undefined) throw new Error(`the planner started ${id}, which nobody planned`);
    const child = { workflowId: `bench/${id}.1`, firstRunId: id };
    const from = { id, sender: child, taskId: id, attempt: 1 };
    state.events.assigned(id, now);
    state.events.started(id, child);
    for (const other of underWay.values()) if (scopesOverlap(other.scope, job.scope)) overlaps += 1;
    underWay.set(id, job);
    peak = Math.max(peak, underWay.size);
    work?.started(job);
    const handoff = { status: 'complete', summary: '', concerns: [], suggestions: [], filesChanged: [] } as const;
    after(job.minutes, () => {
      state.events.handoff({ ...from, handoff: { ...handoff, metrics: NO_METRICS } as never, queued: true }, now);
      after(landMinutes, () => {
        work?.landing(job);
        underWay.delete(id);
        const outcome = { kind: 'landed', commit: COMMIT } as const;
        state.events.outcome({ ...from, outcome: outcome as never, conflictMetrics: NO_METRICS, conflicts: 0 }, now);
      });
    });
  };
  for (;;) {
    for (const { spec } of state.dispatch.ready()) start(spec.id);
    if (!planning && shouldPlan(state.planningInput())) plan();
    if (!planning && isFinished(state.planningInput())) break;
    const next = events.reduce<Event | undefined>(
      (first, each) =>
        first === undefined || each.at < first.at || (each.at === first.at && each.order < first.order) ? each : first,
      undefined,
    );
    if (next === undefined) throw new Error('the run waits, and nothing is under way');
    events.splice(events.indexOf(next), 1);
    now = next.at;
    next.happen();
  }
  return { makespan: now, rounds, overlaps, peak };
}

/** Plans as many tasks as there are workers, waits until all of them have landed, plans again. */
export function batchAndWait(jobs: readonly Job[], { workers, planMinutes, landMinutes }: Timing): number {
  let makespan = 0;
  for (let from = 0; from < jobs.length; from += workers) {
    const batch = jobs.slice(from, from + workers);
    makespan += planMinutes + Math.max(...batch.map(({ minutes }) => minutes)) + landMinutes;
  }
  return makespan;
}

/**
 * All tasks known from the start, no planning, no landing, no locks: each goes to the worker that is free first, by
 * priority, then age. Source: list scheduling, Graham 1966.
 */
export function listSchedule(jobs: readonly Job[], workers: number): number {
  const free = new Array<number>(workers).fill(0);
  const inOrder = jobs
    .map((job, age) => ({ job, age }))
    .sort((a, b) => a.job.priority - b.job.priority || a.age - b.age);
  for (const { job } of inOrder) {
    const first = free.indexOf(Math.min(...free));
    free[first] = (free[first] ?? 0) + job.minutes;
  }
  return Math.max(...free);
}

/** No schedule with locks is shorter: the tasks that may change one and the same path, one after the other. */
export function busiestPath(jobs: readonly Job[]): number {
  const paths = new Set(jobs.flatMap(({ scope }) => scope));
  const together = (path: string): number =>
    jobs.reduce((sum, { scope, minutes }) => sum + (holdsAll(scope, path) ? minutes : 0), 0);
  return Math.max(...[...paths].map(together));
}

/** Folders above a path hold it; what is below it holds only a part. */
const holdsAll = (scope: readonly string[], path: string): boolean =>
  scope.some((each) => each === path || (each.endsWith('/') && path.startsWith(each)));
