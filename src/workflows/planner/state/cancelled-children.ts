/**
 * Workflows of tasks that were cancelled and are still open. No await; plain JSON. Invariant: the reservation of each
 * is held until it has said what its agents used, which counts once, or has ended without a word: then all of it
 * counts.
 */
import type { Used } from '../../../shared/contracts/task.ts';
import { type Chain, sameChain } from '../../../shared/base/ids.ts';
import { WIND_MS } from '../../../shared/planner/stuck.ts';
import type { PlannerBudget } from './budget.ts';
import { holderOf, type TaskRecord } from './task-record.ts';
import type { TaskTable } from './task-table.ts';

/**
 * `holds` until it has said what it used, or, by its handoff, a part of it. `since`: when it was first asked after, in
 * ms since the epoch.
 */
export type CancelledChild = Chain & {
  since?: number;
  holds?: { holder: string; task: string; said?: 'handoff' | 'outcome' };
};

export class CancelledChildren {
  private open: CancelledChild[];
  private readonly tasks: TaskTable;
  private readonly budget: PlannerBudget;

  constructor(parts: { tasks: TaskTable; budget: PlannerBudget }, carried: readonly CancelledChild[] = []) {
    this.tasks = parts.tasks;
    this.budget = parts.budget;
    this.open = [...carried];
  }

  toJSON(): readonly CancelledChild[] {
    return this.open;
  }

  get chains(): readonly Chain[] {
    return this.open.map(({ workflowId, firstRunId }) => ({ workflowId, firstRunId }));
  }

  /** A task is given up. Returns its workflow, which is to be cancelled, where one runs. */
  add(task: TaskRecord): Chain | undefined {
    const { child } = task.attempt;
    const holder = holderOf(task);
    if (child === undefined) this.budget.ended(holder);
    else this.open.push({ ...child, holds: { holder, task: task.spec.id } });
    return child;
  }

  /** What such a task says that it used, by which of its messages. `last`: nothing more comes of it. */
  used(sender: Chain, by: 'handoff' | 'outcome', used: Used, last: boolean): void {
    const child = this.open.find((each) => sameChain(each, sender));
    if (child?.holds === undefined || child.holds.said === by) return;
    const { holder, task } = child.holds;
    this.budget.spent(holder, used);
    this.tasks.used(this.tasks.get(task), used);
    if (last) {
      this.budget.ended(holder);
      delete child.holds;
    } else child.holds.said = by;
  }

  /** Those that have had their time to end. What is not even terminated in twice that time is waited for no longer. */
  overdue(now: number): Chain[] {
    for (const child of this.open) child.since ??= now;
    const older = (ms: number): CancelledChild[] => this.open.filter(({ since = now }) => now - since >= ms);
    for (const child of older(2 * WIND_MS)) this.ended(child);
    return older(WIND_MS).map(({ workflowId, firstRunId }) => ({ workflowId, firstRunId }));
  }

  /** It has ended. */
  ended(chain: Chain): void {
    const child = this.open.find((each) => sameChain(each, chain));
    if (child?.holds !== undefined) this.budget.ended(child.holds.holder, 'unknown');
    this.open = this.open.filter((each) => each !== child);
  }
}
