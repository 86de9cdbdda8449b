/** What a planner starts next, and when it plans again. Pure functions of values. */
import type { BranchState, TaskStatus } from '../task/task-machine.ts';
import { scopesOverlap } from './scopes.ts';

export type DispatchTask = {
  id: string;
  status: TaskStatus;
  branch: BranchState;
  priority: number;
  scope: readonly string[];
  dependsOn: readonly string[];
  /** How many tasks behind it have started in a scope that it waited for. */
  overtaken?: number;
};

/** From then on a task that waits for its scope keeps it from those behind it. */
const MAX_OVERTAKEN = 5;
/** Pending tasks, in workers, at which nothing more is planned though workers are idle. */
const MAX_WAITING = 3;

export const isActive = (task: { status: TaskStatus }): boolean =>
  task.status === 'assigned' || task.status === 'running';

/** Nothing more will happen to it by itself. */
export const isSettled = (task: { status: TaskStatus; branch: BranchState }): boolean =>
  (task.status === 'complete' || task.status === 'failed' || task.status === 'cancelled') && task.branch !== 'queued';

/** Its work is on the target branch, or there was nothing to land. */
export const isDone = (task: { status: TaskStatus; branch: BranchState }): boolean =>
  task.status === 'complete' && (task.branch === 'landed' || task.branch === 'none');

/**
 * The pending tasks to start now, first first: by priority, then age. A task starts when its dependencies are
 * done and no task that is under way holds an overlapping scope: a scope is held from the start until the
 * branch has landed or is given up. Those behind a task that waits for a scope may start in it, but only so often:
 * small tasks do not overtake a large one for ever. `overtaken` are those that `ready` go before.
 */
export function readyTasks(
  tasks: readonly DispatchTask[],
  maxWorkers: number,
): { ready: string[]; overtaken: string[] } {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const held = tasks.filter((task) => isActive(task) || task.branch === 'queued').map((task) => task.scope);
  let free = maxWorkers - tasks.filter(isActive).length;
  const ready: string[] = [];
  const passed: DispatchTask[] = [];
  const overtaken = new Set<string>();
  const waiting = tasks
    .map((task, age) => ({ task, age }))
    .filter(({ task }) => task.status === 'pending')
    .sort((a, b) => a.task.priority - b.task.priority || a.age - b.age);
  for (const { task } of waiting) {
    if (free <= 0) break;
    const blocked = task.dependsOn.some((id) => {
      const dependency = byId.get(id);
      return dependency === undefined || !isDone(dependency);
    });
    if (blocked) continue;
    if (held.some((scope) => scopesOverlap(scope, task.scope))) {
      if ((task.overtaken ?? 0) >= MAX_OVERTAKEN) held.push(task.scope);
      else passed.push(task);
      continue;
    }
    ready.push(task.id);
    held.push(task.scope);
    free -= 1;
    for (const { id, scope } of passed) if (scopesOverlap(scope, task.scope)) overtaken.add(id);
  }
  return { ready, overtaken: [...overtaken] };
}

/** Pending tasks that can never start, because one that they depend on has ended without landing. */
export function hopelessTasks(tasks: readonly DispatchTask[]): { id: string; because: string }[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const hopeless: { id: string; because: string }[] = [];
  const gone = new Set(tasks.filter((task) => isSettled(task) && !isDone(task)).map((task) => task.id));
  for (let grew = true; grew; ) {
    grew = false;
    for (const task of tasks) {
      if (task.status !== 'pending' || gone.has(task.id)) continue;
      const because = task.dependsOn.find((id) => gone.has(id) || !byId.has(id));
      if (because === undefined) continue;
      hopeless.push({ id: task.id, because });
      gone.add(task.id);
      grew = true;
    }
  }
  return hopeless;
}

export type PlanningInput = {
  planned: number;
  done: boolean;
  active: number;
  pending: number;
  queued: number;
  maxWorkers: number;
  /** Handoffs that the planner has not seen. */
  newHandoffs: number;
  /** Ends that the planner has not seen and that want an answer: failures, conflicts, refusals. */
  newTroubles: number;
  steering: number;
  replanAfter: number;
};

/**
 * Whether to plan now: at first; when a person steers; at `replanAfter` new handoffs while workers
 * are idle (what is pending then waits for a scope or a task), unless much waits already;
 * when nothing is under way and either more is to be planned or something went wrong that the plan does not know.
 */
export function shouldPlan(state: PlanningInput): boolean {
  if (state.planned === 0 || state.steering > 0) return true;
  const idle = state.active === 0 && state.queued === 0 && state.pending === 0;
  if (idle) return !state.done || state.newTroubles > 0;
  if (state.done) return false;
  const hasRoom = state.active < state.maxWorkers && state.pending < MAX_WAITING * state.maxWorkers;
  if (hasRoom && state.newHandoffs >= state.replanAfter) return true;
  // Nothing runs and what is pending waits for a landing: plan while the queue works.
  return state.active === 0 && state.newHandoffs > 0;
}

/** Whether the run is at its end: planned to the end, nothing under way, nothing unanswered. */
export function isFinished(state: PlanningInput): boolean {
  const underWay = state.active + state.pending + state.queued;
  return state.done && underWay === 0 && state.steering === 0 && !shouldPlan(state);
}
