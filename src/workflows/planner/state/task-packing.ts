/**
 * A planner's tasks as they are carried through continue-as-new: what is done shrinks to a row, and to less the more
 * of it there is, so that a run of thousands of tasks fits its state. Pure functions of values.
 */
import { isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import { BRANCH_STATES, TASK_STATUSES } from '../../../shared/task/task-machine.ts';
import type { TaskRecord } from './task-record.ts';

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
  rest?: Partial<TaskRecord>,
];
export type PackedTask = TaskRecord | Row;

/** What is left of a row, from all to little. `rest` are the fields that are kept, or all of them. */
type Cut = { description: number; rest: readonly string[] | 'all'; done: boolean };
const CUTS: readonly Cut[] = [
  { description: 120, rest: 'all', done: true },
  { description: 60, rest: ['ref', 'reason', 'subtasks', 'criteria', 'released'], done: true },
  { description: 24, rest: ['ref', 'criteria'], done: true },
  // Also of what failed or was cancelled no more than this, with what a person's retry needs.
  { description: 0, rest: ['ref', 'whole', 'left', 'heldWork', 'lostIn', 'givenUp'], done: false },
];

/** @returns all tasks in their order, in at most `room` characters of JSON as far as cutting what has ended gets. */
export function packTasks(tasks: readonly TaskRecord[], room: number): PackedTask[] {
  let packed: PackedTask[] = [...tasks];
  for (const cut of CUTS) {
    packed = tasks.map((task) => ((cut.done ? isDone(task) : isSettled(task)) ? rowOf(task, cut) : task));
    if (JSON.stringify(packed).length <= room) return packed;
  }
  return packed;
}

export const unpackTasks = (packed: readonly PackedTask[]): TaskRecord[] =>
  packed.map((task) => (Array.isArray(task) ? recordOf(task) : task));

function rowOf(task: TaskRecord, cut: Cut): Row {
  const { spec, status, branch, attempt, conflicts, commit = '', digest = '', used, heardAt: _, ...others } = task;
  const { tokens = 0, costUsd = 0, durationMs = 0 } = used ?? {};
  const kept = Object.entries(others).filter(
    ([key, value]) => value !== undefined && (cut.rest === 'all' || cut.rest.includes(key)),
  );
  const indexes = [TASK_STATUSES.indexOf(status), BRANCH_STATES.indexOf(branch)] as const;
  const money = Number(costUsd.toFixed(6));
  const facts = [attempt, conflicts, commit, digest, tokens, money, Math.round(durationMs)] as const;
  const description = spec.description.slice(0, cut.description);
  const row: Row = [spec.id, description, ...indexes, ...facts];
  if (kept.length > 0) row.push(Object.fromEntries(kept));
  return row;
}

function recordOf(row: Row): TaskRecord {
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
