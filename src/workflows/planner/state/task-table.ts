/**
 * A planner's tasks. No await; plain JSON. Invariants:
 * 1. Every change of a status goes through the state machines.
 * 2. A settled task shrinks to what the report needs, and what did not land to what a person's retry needs.
 */
import type { Used } from '../../../shared/contracts/task.ts';
import { isActive, isDone } from '../../../shared/planner/dispatch.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import {
  type BranchState,
  nextBranchState,
  nextTaskStatus,
  type TaskStatus,
} from '../../../shared/task/task-machine.ts';
import { type PackedTask, packTasks, unpackTasks } from './task-packing.ts';
import { type Attempt, isDivision, type Loss, present, reportedSpec, type TaskRecord } from './task-record.ts';

/** What is remembered of the tasks that can be tried again, in characters of JSON. */
const MAX_REPEATABLE_CHARS = 60_000;
const MAX_PREVIOUS_CHARS = 4_000;
/** Of the words about a settled task. */
const MAX_WORDS_CHARS = 500;

type Counts = { retries: number; conflicts: number; peak: number };

export class TaskTable {
  private readonly tasks: TaskRecord[];
  private readonly counts: Counts;

  constructor(packed: readonly PackedTask[] = [], { retries, conflicts, peak }: Partial<Counts> = {}) {
    this.tasks = unpackTasks(packed);
    this.counts = { retries: retries ?? 0, conflicts: conflicts ?? 0, peak: peak ?? 0 };
  }

  /** As they are carried on: tasks that have ended take no more than `room` characters leave. */
  pack(room: number): PackedTask[] {
    return packTasks(this.tasks, room);
  }

  get records(): readonly TaskRecord[] {
    return this.tasks;
  }

  /** Of the whole run: attempts after the first, conflicts of landings, and the most tasks that were at work at once. */
  get totals(): Readonly<Counts> {
    return this.counts;
  }

  find(id: string): TaskRecord | undefined {
    return this.tasks.find(({ spec }) => spec.id === id);
  }

  /** Throws where there is none: whoever asks has the id from this table. */
  get(id: string): TaskRecord {
    const task = this.find(id);
    if (task === undefined) throw terminal(FailureType.Invariant, `this run has no task "${id}"`);
    return task;
  }

  /** The subplanners that work for this planner now. */
  divisions(): Chain[] {
    return this.tasks.flatMap((task) =>
      isDivision(task) && task.attempt.child !== undefined ? [task.attempt.child] : [],
    );
  }

  add(task: TaskRecord): void {
    this.tasks.push(task);
  }

  countRetries(more: number): void {
    this.counts.retries += more;
  }

  countConflicts(more: number): void {
    this.counts.conflicts += more;
  }

  /** So many are at work. */
  countAtWork(now: number = this.tasks.filter(isActive).length): void {
    this.counts.peak = Math.max(this.counts.peak, now);
  }

  /** Its agents have used this. */
  used(task: TaskRecord, { metrics }: Used): void {
    const { tokens = 0, costUsd = 0, durationMs = 0 } = task.outcome.used ?? {};
    task.outcome.used = {
      tokens: tokens + metrics.inputTokens + metrics.outputTokens,
      costUsd: costUsd + metrics.costUsd,
      durationMs: durationMs + metrics.durationMs,
    };
  }

  move(task: TaskRecord, ...through: TaskStatus[]): void {
    for (const next of through) task.status = nextTaskStatus(task.status, next);
  }

  moveBranch(task: TaskRecord, ...through: BranchState[]): void {
    for (const next of through) task.branch = nextBranchState(task.branch, next);
  }

  /**
   * The work is to be done once more, by a fresh attempt, which has only what is named here. `uncounted`: the attempt
   * before it was no failure of the task.
   */
  retry(
    task: TaskRecord,
    next: Pick<Attempt, 'heardAt' | 'previous' | 'release' | 'givenUp'>,
    { uncounted = false }: { uncounted?: boolean } = {},
  ): void {
    this.move(task, 'pending');
    const { previous } = next;
    task.attempt = present({
      ...next,
      number: task.attempt.number + 1,
      previous:
        previous === undefined ? undefined : { ...previous, summary: previous.summary.slice(0, MAX_PREVIOUS_CHARS) },
    });
    if (uncounted) task.tries.uncounted += 1;
  }

  /** As `retry`, of a task that has settled without having landed: its tries are counted anew. */
  revive(task: TaskRecord, next: Pick<Attempt, 'heardAt' | 'previous' | 'release'>): void {
    const { loss, heldWork, ...outcome } = task.outcome;
    const { begun, number } = task.attempt;
    this.retry(task, next);
    if (task.branch !== 'none') this.moveBranch(task, 'none');
    task.spec = loss?.spec ?? task.spec;
    // The number of an attempt that never started is still free.
    if (begun !== true) task.attempt.number = number;
    task.tries = { earlier: task.attempt.number - 1, uncounted: 0, overtaken: 0 };
    task.outcome = next.release === undefined ? outcome : { ...outcome, heldWork };
  }

  /** A task that is given up, for this reason. */
  cancel(task: TaskRecord, loss: Loss & { reason: string }): void {
    this.move(task, 'cancelled');
    this.settle(task, loss);
  }

  cancelPending(reason: string): void {
    for (const task of this.tasks) if (task.status === 'pending') this.cancel(task, { reason });
  }

  /** Nothing more happens to it by itself. @param loss why it did not land, where it did not. */
  settle(task: TaskRecord, loss: Loss = {}): void {
    const { number, heardAt, release, begun } = task.attempt;
    const { outcome, spec } = task;
    if (isDone(task)) delete outcome.work;
    else outcome.loss = present({ ...loss, reason: loss.reason?.slice(0, MAX_WORDS_CHARS), spec });
    if (outcome.landed?.warning !== undefined)
      outcome.landed = { ...outcome.landed, warning: outcome.landed.warning.slice(0, MAX_WORDS_CHARS) };
    task.spec = reportedSpec(spec);
    task.attempt = present({ number, heardAt, release, begun });
    task.tries = { ...task.tries, overtaken: 0 };
    this.forgetOldest();
  }

  private forgetOldest(): void {
    const repeatable = this.tasks.flatMap(({ outcome: { loss } }) =>
      loss?.spec === undefined ? [] : [{ loss, chars: JSON.stringify(loss.spec).length }],
    );
    let all = repeatable.reduce((sum, { chars }) => sum + chars, 0);
    for (const { loss, chars } of repeatable) {
      if (all <= MAX_REPEATABLE_CHARS) return;
      all -= chars;
      delete loss.spec;
    }
  }
}
