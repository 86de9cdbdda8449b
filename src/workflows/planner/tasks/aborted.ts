/**
 * Tasks whose workflows were cancelled and have not ended yet. No await. Invariant: the reservation of each is kept
 * until it has said what its agents used, which counts once, or has ended without a word: then all of it counts.
 */
import { WIND_MS } from '../../../shared/decisions/stuck.ts';
import type { Used } from '../../../shared/contracts/task.ts';
import { type Chain, sameChain } from '../../../shared/ids.ts';
import { holderOf, TaskBook, type Winding } from './book.ts';
import type { TaskRecord } from './records.ts';

export class AbortedTasks extends TaskBook {
  get winding(): readonly Chain[] {
    return this.aborted.map(({ workflowId, firstRunId }) => ({ workflowId, firstRunId }));
  }

  private get aborted(): readonly Winding[] {
    return this.state.winding ?? [];
  }

  /** Gives a task up. Returns the workflow that is to be cancelled, where one runs. */
  protected abort(task: TaskRecord, reason: string): Chain | undefined {
    const { child } = task;
    const holder = holderOf(task);
    if (child === undefined) this.budget.ended(holder);
    else this.state.winding = [...this.aborted, { ...child, holds: { holder, task: task.spec.id } }];
    this.close(task, reason);
    return child;
  }

  /** What such a task says that it used. `last`: nothing more comes of it. */
  protected abortedUsed(sender: Chain, said: 'handoff' | 'outcome', used: Used, last: boolean): void {
    const winding = this.aborted.find((each) => sameChain(each, sender));
    if (winding?.holds === undefined || winding.holds.said === said) return;
    const { holder, task: id } = winding.holds;
    this.taskSpent(this.find(id), used, holder);
    if (last) {
      this.budget.ended(holder);
      delete winding.holds;
    } else winding.holds.said = said;
  }

  /** Those that have had their time to end. What is not even terminated in twice that time is waited for no longer. */
  overdueWinding(now: number): Chain[] {
    for (const each of this.aborted) each.since ??= now;
    const older = (ms: number): Chain[] => this.aborted.filter(({ since = now }) => now - since >= ms);
    for (const chain of older(2 * WIND_MS)) this.wound(chain);
    return older(WIND_MS).map(({ workflowId, firstRunId }) => ({ workflowId, firstRunId }));
  }

  /** It has ended. */
  wound(chain: Chain): void {
    const winding = this.aborted.find((each) => sameChain(each, chain));
    if (winding?.holds !== undefined) this.budget.ended(winding.holds.holder, 'unknown');
    this.state.winding = this.aborted.filter((each) => each !== winding);
  }
}
