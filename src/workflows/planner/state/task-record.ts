/**
 * A planner's records of its tasks, by how long their parts live, and what is read off them. Pure functions of values.
 * 1. What a task is (`spec`, `digest`, `fix`, `direct`) is the same for all of its attempts.
 * 2. An `attempt` is replaced whole by the next one: nothing of it has to be taken back.
 * 3. What has come of its attempts so far is its `outcome`: the summary of a handoff is replaced whole by the next
 *    handoff's, and what says that it was lost goes when it is tried again.
 */
import type { HeldWork } from '../../../shared/contracts/held.ts';
import type { TaskReport } from '../../../shared/contracts/run.ts';
import type { CheckResult, Handoff, TaskSpec } from '../../../shared/contracts/task.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { isActive, isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import type { WorkersBelow } from '../../../shared/planner/lending.ts';
import { replacedBy } from '../../../shared/planner/successors.ts';
import { type KnownTask, workDigest } from '../../../shared/planner/plan-rules.ts';
import { boundedPaths } from '../../../shared/task/handoff-size.ts';
import type { BranchState, TaskStatus } from '../../../shared/task/task-machine.ts';

export type TaskRecord = {
  /** As it was planned; of a settled task only what the report needs. */
  spec: TaskSpec;
  /** Of what it asks for, to know the same again. */
  digest?: string;
  /** It mends the branch: made by the reconciler. */
  fix?: boolean;
  /** One agent does it, whatever its scope. */
  direct?: boolean;
  status: TaskStatus;
  branch: BranchState;
  tries: Tries;
  attempt: Attempt;
  outcome: Outcome;
};

/** Of the attempts since the task was planned, or since a person had it tried again. */
export type Tries = {
  /** How many attempts there were before these. */
  earlier: number;
  /** How many are no failures of the task: their ids were taken by other chains, or there was nothing to divide. */
  uncounted: number;
  /** How often others behind it took a scope that it waited for. */
  overtaken: number;
};

export type Attempt = {
  /** From 1 on; part of the id of its workflow. */
  number: number;
  /** When it was last heard of, in ms since the epoch. */
  heardAt: number;
  /** The plan that a person has to approve before it starts. */
  unapprovedPlan?: string;
  /** What it goes on from; `ref` is where the remote has that commit. */
  previous?: { commit?: string; ref?: string; summary: string };
  /** Why a person has the held work landed by it; may be empty. */
  release?: string;
  /** A person gave it up; it may hand off until then, in ms since the epoch. */
  givenUp?: { reason: string; until: number };
  /** Its workflow was started, so that its number is used up. */
  begun?: boolean;
  /** Its workflow, until the task has settled. */
  child?: Chain;
  /** Of a subplanner's attempt: what of the workers it may use. */
  lent?: WorkersBelow;
};

export type Outcome = {
  /** Of all attempts, as far as they said. */
  used?: { tokens: number; costUsd: number; durationMs: number };
  /** Of the newest landing that was tried. */
  conflicts: number;
  /** Of the newest handoff. */
  summary?: HandoffSummary;
  /** The newest commit that was handed off: what a person's retry goes on from. */
  work?: { commit: string; ref: string };
  /** Where the remote has work that did not land. */
  ref?: string;
  /** Work that a guard holds, for a person to release. */
  heldWork?: HeldWork;
  landed?: { commit: string; warning?: string };
  /** Why it did not land, of a task that has settled. */
  loss?: Loss;
  /** What was planned in its place. */
  successor?: string;
};

export type HandoffSummary = {
  concerns: string[];
  suggestions?: string[];
  files?: string[];
  /** Of a division. */
  subtasks?: TaskReport[];
  /** What the host's checks showed: unchecked criteria count among all, and not as met. */
  criteria?: { met: number; of: number; failed?: string[] };
};

export type Loss = {
  reason?: string;
  /** The task that it depended on and was cancelled for. */
  dependency?: string;
  /** As it was planned, of one that may be tried again; of the newest such tasks only. */
  spec?: TaskSpec;
};

/** A task that nobody has begun. */
export function newTask(spec: TaskSpec, now: number, more: Pick<TaskRecord, 'fix'> = {}): TaskRecord {
  return {
    spec,
    digest: workDigest(spec.description),
    ...more,
    status: 'pending',
    branch: 'none',
    tries: { earlier: 0, uncounted: 0, overtaken: 0 },
    attempt: { number: 1, heardAt: now },
    outcome: { conflicts: 0 },
  };
}

/** Who holds a task's reservation of the budget: each attempt has one of its own. */
export const holderOf = ({ spec, attempt }: TaskRecord): string => `${spec.id}.${attempt.number}`;

/** Whether a subplanner works on it. */
export const isDivision = ({ attempt, status }: TaskRecord): boolean =>
  attempt.lent !== undefined && status === 'running';

/** How a task stands, in words for people. */
export const standingOf = ({ status, branch }: Pick<TaskRecord, 'status' | 'branch'>): string =>
  branch === 'queued' ? 'waiting to land' : branch === 'landed' ? 'landed' : status;

/** A settled task says what the report needs: 500 of them must fit a state of 512 kB beside all else. */
export function reportedSpec({ id, description, priority }: TaskSpec): TaskSpec {
  const [line = ''] = description.trim().split('\n');
  return { id, description: line.slice(0, 120), scope: [], acceptance: [], priority, dependsOn: [] };
}

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
  return tasks.flatMap((task) => {
    const { child } = task.attempt;
    return child !== undefined && (isActive(task) || task.branch === 'queued') ? [child] : [];
  });
}

/** Tasks that said nothing since `before`, with the chain to ask after. */
export function silentTasks(tasks: readonly TaskRecord[], before: number): { id: string; child: Chain }[] {
  return tasks.flatMap(({ spec, attempt: { child, heardAt }, status, branch }) =>
    child !== undefined && heardAt < before && (status === 'running' || branch === 'queued')
      ? [{ id: spec.id, child }]
      : [],
  );
}

/** Refs of work that is on the remote and did not land. */
export function unlandedRefs(tasks: readonly TaskRecord[]): string[] {
  return tasks.flatMap(({ outcome: { ref, summary }, branch }) => [
    ...(ref !== undefined && branch !== 'landed' ? [ref] : []),
    ...(summary?.subtasks ?? []).flatMap((below) => below.ref ?? []),
  ]);
}

/** How many tasks have landed, those of divisions included. */
export function landedWork(tasks: readonly TaskRecord[]): number {
  const below = (reports: readonly TaskReport[]): number =>
    reports.reduce((sum, { branch, subtasks = [] }) => sum + (branch === 'landed' ? 1 : 0) + below(subtasks), 0);
  return tasks.reduce(
    (sum, { branch, outcome }) => sum + (branch === 'landed' ? 1 : 0) + below(outcome.summary?.subtasks ?? []),
    0,
  );
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

/** As people see them. */
export function reportTasks(tasks: readonly TaskRecord[]): TaskReport[] {
  return tasks.map((task) => {
    const { spec, status, branch, attempt, outcome } = task;
    const { used, summary, landed, loss, heldWork } = outcome;
    const report: TaskReport = {
      id: spec.id,
      description: spec.description,
      status,
      branch,
      attempts: attempt.number,
      conflicts: outcome.conflicts,
      commit: landed?.commit,
      ref: branch === 'landed' ? undefined : outcome.ref,
      reason: loss?.reason,
      warning: landed?.warning,
      successor: outcome.successor,
      criteria: summary?.criteria,
      held: isSettled(task) ? heldWork?.by : undefined,
      released: attempt.release,
      ...used,
      workflow: attempt.child?.workflowId,
      subtasks: summary?.subtasks,
      concerns: summary === undefined || summary.concerns.length === 0 ? undefined : summary.concerns,
    };
    return present(report);
  });
}

/** Names what is planned in the place of tasks that did not land. */
export function markReplaced(tasks: readonly TaskRecord[], planned: readonly TaskSpec[]): void {
  const unlanded = tasks.filter((task) => isSettled(task) && !isDone(task));
  if (unlanded.length === 0) return;
  const known = unlanded.map(({ spec, digest, outcome }) => ({
    id: spec.id,
    scope: outcome.loss?.spec?.scope ?? [],
    ...(digest === undefined ? {} : { digest }),
  }));
  for (const spec of planned) {
    const replaced = replacedBy(spec, workDigest(spec.description), known);
    for (const task of unlanded) if (replaced.includes(task.spec.id)) task.outcome.successor = spec.id;
  }
}

/** Of one division, with all below it, as they are reported. */
const MAX_SUBTASKS = 60;
const MAX_FAILED = 5;
const FAILED_CHARS = 80;

/**
 * What is remembered of a task's own handoff.
 * @param whole of few subtasks all that their division hands up; of a run's tasks, which may be hundreds, little.
 */
export function summaryOf(
  { concerns, suggestions, filesChanged, subtasks, checks = [] }: Handoff,
  whole: boolean,
): HandoffSummary {
  const most = whole ? { points: 5, chars: 300, paths: 2_000 } : { points: 1, chars: 80, paths: 0 };
  const points = (texts: string[]) => texts.slice(0, most.points).map((text) => text.slice(0, most.chars));
  return {
    concerns: points(concerns),
    ...(whole ? { suggestions: points(suggestions), files: boundedPaths(filesChanged, most.paths) } : {}),
    ...(subtasks === undefined ? {} : { subtasks: subtasks.slice(0, MAX_SUBTASKS) }),
    ...(checks.length === 0 ? {} : { criteria: criteriaOf(checks) }),
  };
}

function criteriaOf(checks: readonly CheckResult[]): NonNullable<HandoffSummary['criteria']> {
  const failed = checks.filter(({ status }) => status === 'failed').map(({ name }) => name.slice(0, FAILED_CHARS));
  return {
    met: checks.filter(({ status }) => status === 'passed').length,
    of: checks.length,
    ...(failed.length === 0 ? {} : { failed: failed.slice(0, MAX_FAILED) }),
  };
}

/** Without the fields that are undefined. */
export function present<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as T;
}
