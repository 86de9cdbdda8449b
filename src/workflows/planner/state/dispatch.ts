/** What a planner starts, by how many workers it may use of its run's. No await; plain JSON. */
import type { Budget } from '../../../shared/contracts/budget.ts';
import type { WorkersReport } from '../../../shared/contracts/workers.ts';
import { type DispatchTask, hopelessTasks, isActive, readyTasks } from '../../../shared/planner/dispatch.ts';
import {
  allotWorkers,
  FIRST_BELOW,
  FIRST_LENT,
  heardNeed,
  heardWord,
  lend,
  needOf,
  type WorkersLent,
  type WorkersNeed,
  type WorkersWord,
} from '../../../shared/planner/lending.ts';
import { type Chain, sameChain } from '../../../shared/base/ids.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import type { EventParts } from './task-events.ts';
import { holderOf, isDivision, type TaskRecord } from './task-record.ts';

export class Dispatch {
  private readonly parts: Omit<EventParts, 'cancelled'>;
  /** Of a division: what its planner above has lent it. */
  private lent: WorkersLent | undefined;
  /** What it has use for, as `ready` found. */
  private usable = 1;
  private loans: { child: Chain; word: WorkersWord }[] = [];

  constructor(parts: Omit<EventParts, 'cancelled'>, lent?: WorkersLent) {
    this.parts = parts;
    this.lent = lent;
  }

  toJSON(): WorkersLent | undefined {
    return this.lent;
  }

  /** The tasks to start now: each is to be `assigned` at once. */
  ready(): TaskRecord[] {
    const { tasks, budget, news, status, limits } = this.parts;
    if (!status.mayStart) {
      this.allot([]);
      this.usable = this.direct + this.usableBelow;
      return [];
    }
    for (const { id, because } of hopelessTasks(this.dispatchTasks())) {
      tasks.cancel(tasks.get(id), { reason: RUN_TEXT.dependencyFailed(because), dependency: because });
      news.trouble(RUN_TEXT.cancelled(id, because));
    }
    const open = this.dispatchTasks().filter(({ unapprovedPlan }) => unapprovedPlan === undefined);
    const active = open.filter(isActive).length;
    const could = readyTasks(open, active + limits.tuned.maxWorkers).ready.map((id) => tasks.get(id));
    const { ready: next, overtaken } = readyTasks(open, active + this.allot(could));
    const ready = next.map((id) => tasks.get(id));
    const funded = new Set(budget.divide(ready.map(holderOf)));
    const all = ready.every((task) => funded.has(holderOf(task)));
    if (all) for (const id of overtaken) tasks.get(id).tries.overtaken += 1;
    // Who waits for money has no use for a worker.
    this.usable = all ? this.usableBelow + this.direct + could.length : this.using + funded.size;
    tasks.countAtWork(this.using + funded.size);
    return ready.filter((task) => funded.has(holderOf(task)));
  }

  /** What a task's attempt may spend; undefined where nothing is limited. */
  shareOf(task: TaskRecord): Budget | undefined {
    return this.parts.budget.left(holderOf(task));
  }

  /** A planner below has said what it has use for. */
  workersNeeded({ taskId, sender, ...need }: WorkersReport): void {
    const { child, lent } = this.parts.tasks.find(taskId)?.attempt ?? {};
    if (child === undefined || lent === undefined || !sameChain(child, sender)) return;
    this.parts.tasks.get(taskId).attempt.lent = heardNeed(lent, need);
  }

  /** The planner above has said what this one may use. */
  workersLent(word: WorkersWord): void {
    this.lent = heardWord(this.lent ?? FIRST_LENT, word);
  }

  /** What the planners below are to be told now that they may use, each once. */
  takeLoans(): { child: Chain; word: WorkersWord }[] {
    return this.loans.splice(0);
  }

  /** What the planner above is to be told now; undefined where it knows, or there is none. */
  takeNeed(again = false): WorkersNeed | undefined {
    const { limits } = this.parts;
    if (!limits.isDivision) return undefined;
    const wants = Math.max(1, Math.min(limits.tuned.maxWorkers, this.usable));
    const need = needOf(this.lent ?? FIRST_LENT, { using: this.using, wants, again });
    if (need !== undefined) this.lent = need.lent;
    return need?.need;
  }

  /** Whether more workers are of use than it was lent. */
  get lacksWorkers(): boolean {
    return this.parts.limits.isDivision && this.usable > (this.lent ?? FIRST_LENT).most;
  }

  private get divisions(): TaskRecord[] {
    return this.parts.tasks.records.filter(isDivision);
  }

  /** Its own tasks that run, save divisions that have started. */
  private get direct(): number {
    return this.parts.tasks.records.filter(isActive).length - this.divisions.length;
  }

  private get using(): number {
    return this.divisions.reduce((sum, { attempt: { lent = FIRST_BELOW } }) => sum + lent.held, this.direct);
  }

  private get usableBelow(): number {
    return this.divisions.reduce((sum, { attempt: { lent = FIRST_BELOW } }) => sum + lent.wants, 0);
  }

  /** Divides the workers between these and the planners below; returns how many of these get one. */
  private allot(could: readonly TaskRecord[]): number {
    const { divisions } = this;
    const { isDivision: isLentTo, tuned } = this.parts.limits;
    const { start, most } = allotWorkers({
      limit: isLentTo ? Math.min(tuned.maxWorkers, (this.lent ?? FIRST_LENT).most) : tuned.maxWorkers,
      active: this.direct,
      ready: could.map(({ spec }) => spec.priority),
      below: divisions.map(({ spec, attempt: { lent = FIRST_BELOW } }) => ({ ...lent, priority: spec.priority })),
    });
    for (const [i, { attempt }] of divisions.entries()) {
      const changed = lend(attempt.lent ?? FIRST_BELOW, most[i] ?? 1);
      if (changed === undefined || attempt.child === undefined) continue;
      attempt.lent = changed.below;
      this.loans.push({ child: attempt.child, word: changed.word });
    }
    return start;
  }

  private dispatchTasks(): (DispatchTask & { unapprovedPlan: string | undefined })[] {
    return this.parts.tasks.records.map(({ spec, status, branch, tries: { overtaken }, attempt }) => ({
      ...spec,
      status,
      branch,
      overtaken,
      unapprovedPlan: attempt.unapprovedPlan,
    }));
  }
}
