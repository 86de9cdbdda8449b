/**
 * A planner's tasks as they are carried through continue-as-new. The form is flat, as the first version wrote it, so
 * that every version reads what another one has carried; what is done shrinks to a row, and to less the more of it
 * there is, so that a run of thousands of tasks fits its state. Pure functions of values.
 */
import type { HeldWork } from '../../../shared/contracts/held.ts';
import type { TaskSpec } from '../../../shared/contracts/task.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import { FIRST_BELOW, type WorkersBelow } from '../../../shared/planner/lending.ts';
import { BRANCH_STATES, type BranchState, TASK_STATUSES, type TaskStatus } from '../../../shared/task/task-machine.ts';
import { type Attempt, type HandoffSummary, type Outcome, present, type TaskRecord } from './task-record.ts';

/** The names on the wire. */
type FlatTask = {
  spec: TaskSpec;
  digest?: string;
  fix?: boolean;
  direct?: boolean;
  status: TaskStatus;
  branch: BranchState;
  before?: number;
  taken?: number;
  overtaken?: number;
  attempt: number;
  heardAt: number;
  held?: string;
  previous?: Attempt['previous'];
  released?: string;
  givenUp?: Attempt['givenUp'];
  /** The number of the attempt that started last. */
  begun?: number;
  child?: Chain;
  divided?: boolean;
  workers?: WorkersBelow;
  used?: Outcome['used'];
  conflicts: number;
  told?: Pick<HandoffSummary, 'concerns' | 'suggestions' | 'files'>;
  subtasks?: HandoffSummary['subtasks'];
  criteria?: HandoffSummary['criteria'];
  left?: Outcome['work'];
  ref?: string;
  heldWork?: HeldWork;
  commit?: string;
  warning?: string;
  reason?: string;
  lostWith?: string;
  whole?: TaskSpec;
  successor?: string;
};

/**
 * Id, first line of the description, indexes of status and branch, attempt, conflicts, commit, digest, tokens,
 * dollars, milliseconds, and what else there is.
 */
type Row = [
  id: string,
  description: string,
  status: number,
  branch: number,
  attempt: number,
  conflicts: number,
  commit: string,
  digest: string,
  tokens: number,
  costUsd: number,
  durationMs: number,
  rest?: Partial<FlatTask>,
];
export type PackedTask = FlatTask | Row;

/** What becomes a row, and what is left of it there. */
type Cut = { of: (task: TaskRecord) => boolean; reduce: (task: TaskRecord) => TaskRecord };

/** From all to little. What has landed or had nothing to land is never tried again. */
const CUTS: readonly Cut[] = [
  { of: isDone, reduce: (task) => described(task, 120) },
  {
    of: isDone,
    reduce: (task) => {
      const { subtasks, criteria } = task.outcome.summary ?? {};
      const { number, heardAt, release } = task.attempt;
      return {
        ...described(task, 60),
        attempt: { number, heardAt, release },
        outcome: { ...resultOf(task.outcome), summary: { concerns: [], subtasks, criteria } },
      };
    },
  },
  {
    of: isDone,
    reduce: (task) => ({
      ...described(task, 24),
      attempt: { number: task.attempt.number, heardAt: 0 },
      outcome: { ...resultOf(task.outcome), summary: { concerns: [], criteria: task.outcome.summary?.criteria } },
    }),
  },
  {
    // Of what did not land: what a person's retry, or the release of its work, needs.
    of: isSettled,
    reduce: (task) => {
      const { number, begun } = task.attempt;
      const { work, heldWork, loss, successor } = task.outcome;
      const { spec, dependency } = loss ?? {};
      const again = isDone(task) ? {} : { work, heldWork, loss: { spec, dependency }, successor };
      return {
        ...described(task, 0),
        attempt: { number, heardAt: 0, ...(isDone(task) ? {} : { begun }) },
        outcome: { ...resultOf(task.outcome), ...again },
      };
    },
  },
];

const described = (task: TaskRecord, chars: number): TaskRecord => ({
  ...task,
  spec: { ...task.spec, description: task.spec.description.slice(0, chars) },
});

/** What of an outcome is always kept, without the words of it. */
const resultOf = ({ used, conflicts, ref, landed }: Outcome): Outcome => ({
  used,
  conflicts,
  ref,
  landed: landed === undefined ? undefined : { commit: landed.commit },
});

/** @returns all tasks in their order, in at most `room` characters of JSON as far as cutting what has ended gets. */
export function packTasks(tasks: readonly TaskRecord[], room: number): PackedTask[] {
  let packed: PackedTask[] = [];
  for (const { of, reduce } of CUTS) {
    packed = tasks.map((task) => (of(task) ? rowOf(reduce(task)) : flat(task)));
    if (JSON.stringify(packed).length <= room) return packed;
  }
  return packed;
}

export const unpackTasks = (packed: readonly PackedTask[]): TaskRecord[] =>
  packed.map((task) => recordOf(Array.isArray(task) ? flatOf(task) : task));

function flat({ attempt, outcome, tries, ...what }: TaskRecord): FlatTask {
  const { spec, digest, fix, direct, status, branch, ...unnamed } = what;
  const { number, heardAt, unapprovedPlan, previous, release, givenUp, begun, child, lent, ...unnamedHere } = attempt;
  const { used, conflicts, summary, work, ref, heldWork, landed, loss, successor, ...unnamedThere } = outcome;
  // A part of a record that is not named above does not compile: it would not be carried.
  void ([unnamed, unnamedHere, unnamedThere] satisfies Record<string, never>[]);
  return present({
    ...{ spec, digest, fix, direct, status, branch },
    before: tries.earlier === 0 ? undefined : tries.earlier,
    taken: tries.uncounted === 0 ? undefined : tries.uncounted,
    overtaken: tries.overtaken === 0 ? undefined : tries.overtaken,
    attempt: number,
    heardAt,
    held: unapprovedPlan,
    previous,
    released: release,
    givenUp,
    begun: begun === true ? number : undefined,
    child,
    divided: lent === undefined ? undefined : true,
    workers: lent,
    used,
    conflicts,
    told:
      summary === undefined
        ? undefined
        : present({ concerns: summary.concerns, suggestions: summary.suggestions, files: summary.files }),
    subtasks: summary?.subtasks,
    criteria: summary?.criteria,
    left: work,
    ref,
    heldWork,
    commit: landed?.commit,
    warning: landed?.warning,
    reason: loss?.reason,
    lostWith: loss?.dependency,
    whole: loss?.spec,
    successor,
  } satisfies FlatTask);
}

function recordOf(task: FlatTask): TaskRecord {
  const { told, subtasks, criteria, commit, warning, reason, lostWith, whole, begun } = task;
  const summarized = told !== undefined || subtasks !== undefined || criteria !== undefined;
  const lost = reason !== undefined || lostWith !== undefined || whole !== undefined;
  const attempt: Attempt = {
    number: task.attempt,
    heardAt: task.heardAt,
    unapprovedPlan: task.held,
    previous: task.previous,
    release: task.released,
    givenUp: task.givenUp,
    begun: begun === task.attempt ? true : undefined,
    child: task.child,
    lent: task.divided === true ? (task.workers ?? FIRST_BELOW) : undefined,
  };
  const outcome: Outcome = {
    used: task.used,
    conflicts: task.conflicts,
    summary: summarized ? present({ concerns: [], ...told, subtasks, criteria }) : undefined,
    work: task.left,
    ref: task.ref,
    heldWork: task.heldWork,
    landed: commit === undefined ? undefined : present({ commit, warning }),
    loss: lost ? present({ reason, dependency: lostWith, spec: whole }) : undefined,
    successor: task.successor,
  };
  return present({
    spec: task.spec,
    digest: task.digest,
    fix: task.fix,
    direct: task.direct,
    status: task.status,
    branch: task.branch,
    tries: { earlier: task.before ?? 0, uncounted: task.taken ?? 0, overtaken: task.overtaken ?? 0 },
    attempt: present(attempt),
    outcome: present(outcome),
  });
}

function rowOf(task: TaskRecord): Row {
  const { spec, status, branch, attempt, conflicts, commit = '', digest = '', used, heardAt: _, ...rest } = flat(task);
  const { tokens = 0, costUsd = 0, durationMs = 0 } = used ?? {};
  const indexes = [TASK_STATUSES.indexOf(status), BRANCH_STATES.indexOf(branch)] as const;
  const money = Number(costUsd.toFixed(6));
  const facts = [attempt, conflicts, commit, digest, tokens, money, Math.round(durationMs)] as const;
  const row: Row = [spec.id, spec.description, ...indexes, ...facts];
  if (Object.keys(rest).length > 0) row.push(rest);
  return row;
}

function flatOf(row: Row): FlatTask {
  const [id, description, status, branch, attempt, conflicts, commit, digest, tokens, costUsd, durationMs, rest] = row;
  return {
    ...rest,
    spec: { id, description, scope: [], acceptance: [], priority: 5, dependsOn: [] },
    status: TASK_STATUSES[status] ?? 'failed',
    branch: BRANCH_STATES[branch] ?? 'none',
    attempt,
    conflicts,
    heardAt: 0,
    ...(commit === '' ? {} : { commit }),
    ...(digest === '' ? {} : { digest }),
    used: { tokens, costUsd, durationMs },
  };
}
