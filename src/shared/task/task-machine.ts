/**
 * The two state machines of a task: what becomes of the work, and what becomes of its branch.
 * Invariant: a transition that is not in the table throws; nothing assigns a status directly.
 */
import { FailureType, terminal } from '../base/failures.ts';

export const TASK_STATUSES = ['pending', 'assigned', 'running', 'complete', 'failed', 'cancelled'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const BRANCH_STATES = ['none', 'queued', 'landed', 'conflicted', 'ejected'] as const;
export type BranchState = (typeof BRANCH_STATES)[number];

const TASK_TRANSITIONS: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  pending: ['assigned', 'cancelled'],
  assigned: ['running', 'cancelled'],
  running: ['complete', 'failed', 'cancelled'],
  failed: ['pending'],
  // What did not land is tried again when people ask for it.
  complete: ['pending'],
  cancelled: ['pending'],
};

const BRANCH_TRANSITIONS: Readonly<Record<BranchState, readonly BranchState[]>> = {
  none: ['queued'],
  queued: ['landed', 'conflicted', 'ejected'],
  conflicted: ['queued', 'none'],
  ejected: ['queued', 'none'],
  landed: [],
};

export function nextTaskStatus(from: TaskStatus, to: TaskStatus): TaskStatus {
  return allowed('task', TASK_TRANSITIONS, from, to);
}

export function nextBranchState(from: BranchState, to: BranchState): BranchState {
  return allowed('branch', BRANCH_TRANSITIONS, from, to);
}

function allowed<S extends string>(what: string, table: Readonly<Record<S, readonly S[]>>, from: S, to: S): S {
  if (table[from].includes(to)) return to;
  throw terminal(FailureType.Invariant, `a ${what} cannot go from ${from} to ${to}`);
}
