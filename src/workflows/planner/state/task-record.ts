/** A planner's records of its tasks, and what is read off them. Pure functions of values. */
import type { HeldWork } from '../../../shared/contracts/held.ts';
import type { TaskReport } from '../../../shared/contracts/run.ts';
import type { TaskSpec } from '../../../shared/contracts/task.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import type { WorkersBelow } from '../../../shared/planner/lending.ts';
import { replacedBy } from '../../../shared/planner/successors.ts';
import { type KnownTask, workDigest } from '../../../shared/planner/plan-rules.ts';
import type { BranchState, TaskStatus } from '../../../shared/task/task-machine.ts';

export type TaskRecord = {
  spec: TaskSpec;
  status: TaskStatus;
  branch: BranchState;
  attempt: number;
  /** How many attempts never started, because other chains held their ids: they are not the task's failures. */
  taken?: number;
  /** The newest attempt that started. */
  begun?: number;
  /** How many attempts there were when a person had it tried again. */
  before?: number;
  /** The workflow of the current attempt, once it has started. */
  child?: Chain;
  /** When it was last heard of, in ms since the epoch. */
  heardAt: number;
  conflicts: number;
  /** By all of its attempts, as far as it was told. */
  used?: { tokens: number; costUsd: number; durationMs: number };
  /** Of what it asks for, to know the same again. */
  digest?: string;
  /** How often others behind it took a scope that it waited for. */
  overtaken?: number;
  /** One agent does it, whatever its scope. */
  direct?: boolean;
  /** It mends the branch: made by the reconciler. */
  fix?: boolean;
  /** Of a division. */
  subtasks?: TaskReport[];
  /** Of its newest handoff. */
  told?: { concerns: string[]; suggestions?: string[]; files?: string[] };
  commit?: string;
  ref?: string;
  reason?: string;
  /** The plan with which it waits for a person. */
  held?: string;
  /** Its child is a subplanner. */
  divided?: boolean;
  /** What of the workers that child may use. */
  workers?: WorkersBelow;
  /** A person gave it up; it may hand off until then, in ms since the epoch. */
  givenUp?: { reason: string; until: number };
  /** Of the rounds of planning, the one that planned it, and the newest when it settled without having landed. */
  round?: number;
  lostIn?: number;
  /** As it was planned, of one that did not land and may be tried again; of the newest such ones only. */
  whole?: TaskSpec;
  /** Of one that did not land: what was planned in its place. */
  successor?: string;
  /** Of its newest handoff: what the host's checks showed. */
  criteria?: { met: number; of: number; failed?: string[] };
  /** What it depended on and was cancelled for. */
  lostWith?: string;
  /** Of its newest handoff: work that a person's retry goes on from. */
  left?: { commit: string; ref: string };
  /** Work of its newest attempt that a guard holds. */
  heldWork?: HeldWork;
  /** Why a person had that landed; may be empty. */
  released?: string;
  /** Of its landing. */
  warning?: string;
  /** What a retry goes on from; `ref` is where the remote has its commit. */
  previous?: { commit?: string; ref?: string; summary: string };
};

/** What the rules for plans are asked about. */
export function knownTasks(tasks: readonly TaskRecord[]): KnownTask[] {
  return tasks.map(({ spec, status, branch, digest }) => ({
    id: spec.id,
    status,
    branch,
    ...(digest === undefined ? {} : { digest }),
  }));
}

/** The children that may still run. */
export function openChildren(tasks: readonly TaskRecord[]): Chain[] {
  return tasks.flatMap(({ child, status, branch }) =>
    child !== undefined && (status === 'running' || status === 'assigned' || branch === 'queued') ? [child] : [],
  );
}

/** Tasks that said nothing since `before`, with the chain to ask after. */
export function silentTasks(tasks: readonly TaskRecord[], before: number): { id: string; child: Chain }[] {
  return tasks.flatMap(({ spec, child, status, branch, heardAt }) =>
    child !== undefined && heardAt < before && (status === 'running' || branch === 'queued')
      ? [{ id: spec.id, child }]
      : [],
  );
}

/** Refs of work that is on the remote and did not land. */
export function keptRefs(tasks: readonly TaskRecord[]): string[] {
  return tasks.flatMap(({ ref, branch, subtasks = [] }) => [
    ...(ref !== undefined && branch !== 'landed' ? [ref] : []),
    ...subtasks.flatMap((below) => below.ref ?? []),
  ]);
}

/** How many tasks have landed, those of divisions included. */
export function landedWork(tasks: readonly TaskRecord[]): number {
  const below = (reports: readonly TaskReport[]): number =>
    reports.reduce((sum, { branch, subtasks = [] }) => sum + (branch === 'landed' ? 1 : 0) + below(subtasks), 0);
  return tasks.reduce((sum, { branch, subtasks = [] }) => sum + (branch === 'landed' ? 1 : 0) + below(subtasks), 0);
}

export type TaskCounts = Record<TaskStatus, number> & { landed: number; queued: number };

export function countTasks(tasks: readonly TaskRecord[]): TaskCounts {
  const counts = { pending: 0, assigned: 0, running: 0, complete: 0, failed: 0, cancelled: 0, landed: 0, queued: 0 };
  for (const task of tasks) {
    counts[task.status] += 1;
    if (task.branch === 'landed') counts.landed += 1;
    if (task.branch === 'queued') counts.queued += 1;
  }
  return counts;
}

export function reportTasks(tasks: readonly TaskRecord[]): TaskReport[] {
  return tasks.map(
    ({
      spec,
      status,
      branch,
      attempt,
      conflicts,
      commit,
      ref,
      reason,
      warning,
      used,
      subtasks,
      told,
      child,
      ...more
    }) => ({
      id: spec.id,
      description: spec.description,
      status,
      branch,
      attempts: attempt,
      conflicts,
      ...(commit === undefined ? {} : { commit }),
      ...(ref === undefined || branch === 'landed' ? {} : { ref }),
      ...(reason === undefined ? {} : { reason }),
      ...(warning === undefined ? {} : { warning }),
      ...(more.successor === undefined ? {} : { successor: more.successor }),
      ...(more.criteria === undefined ? {} : { criteria: more.criteria }),
      ...(more.heldWork === undefined || !isSettled({ status, branch }) ? {} : { held: more.heldWork.by }),
      ...(more.released === undefined ? {} : { released: more.released }),
      ...used,
      ...(child === undefined ? {} : { workflow: child.workflowId }),
      ...(subtasks === undefined ? {} : { subtasks }),
      ...(told === undefined || told.concerns.length === 0 ? {} : { concerns: told.concerns }),
    }),
  );
}

/** A task that nobody has begun. @param round of planning, from 1 on. */
export function newTask(spec: TaskSpec, now: number, round: number): TaskRecord {
  const digest = workDigest(spec.description);
  return { spec, status: 'pending', branch: 'none', attempt: 1, heardAt: now, conflicts: 0, digest, round };
}

/** A settled task keeps what the report needs: 500 of them must fit a state of 512 kB beside all else. */
export function shrink(task: TaskRecord): void {
  const { id, description, priority } = task.spec;
  const [line = ''] = description.trim().split('\n');
  task.spec = { id, description: line.slice(0, 120), scope: [], acceptance: [], priority, dependsOn: [] };
  delete task.previous;
  delete task.child;
  delete task.overtaken;
  delete task.held;
  delete task.divided;
  delete task.workers;
  if (task.reason !== undefined) task.reason = task.reason.slice(0, 500);
  if (task.warning !== undefined) task.warning = task.warning.slice(0, 500);
}

/** Names what is planned in the place of tasks that did not land. */
export function markReplaced(tasks: readonly TaskRecord[], planned: readonly TaskSpec[]): void {
  const lost = tasks.filter((task) => isSettled(task) && !isDone(task));
  if (lost.length === 0) return;
  const known = lost.map(({ spec, digest, whole }) => ({
    id: spec.id,
    scope: whole?.scope ?? [],
    ...(digest === undefined ? {} : { digest }),
  }));
  for (const spec of planned) {
    const replaced = replacedBy(spec, workDigest(spec.description), known);
    for (const task of lost) if (replaced.includes(task.spec.id)) task.successor = spec.id;
  }
}
