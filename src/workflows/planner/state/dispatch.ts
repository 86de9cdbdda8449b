/** What a planner starts, by how many workers it may use of its run's. No await; plain JSON. */
import type { Budget } from '../../../shared/contracts/budget.ts';
import type { WorkersReport } from '../../../shared/contracts/workers.ts';
import { hopelessTasks, isActive, readyTasks } from '../../../shared/planner/dispatch.ts';
import {
  allotWorkers,
  FIRST_BELOW,
  FIRST_LENT,
  heardNeed,
  heardWord,
  lend,
  needOf,
  type WorkersNeed,
  type WorkersWord,
} from '../../../shared/planner/lending.ts';
import { type Chain, sameChain } from '../../../shared/base/ids.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import { PeopleState } from './commands.ts';
import { holderOf } from './task-table.ts';
import type { TaskRecord } from './task-record.ts';

export class DispatchState extends PeopleState {
  /** What it has use for, as `ready` found. */
  private wants = 1;
  private words: { child: Chain; word: WorkersWord }[] = [];

  /** The tasks to start now: each is to be `assigned` at once. */
  ready(): TaskRecord[] {
    if (!this.mayStart) {
      this.allot([]);
      this.wants = this.direct + this.wantedBelow;
      return [];
    }
    for (const { id, because } of hopelessTasks(this.dispatchTasks())) {
      const task = this.find(id);
      this.close(task, RUN_TEXT.dependencyFailed(because));
      task.lostWith = because;
      this.trouble(RUN_TEXT.cancelled(id, because));
    }
    const tasks = this.dispatchTasks().filter(({ held }) => held === undefined);
    const active = tasks.filter(isActive).length;
    const could = readyTasks(tasks, active + this.limits.maxWorkers).ready.map((id) => this.find(id));
    const { ready: next, overtaken } = readyTasks(tasks, active + this.allot(could));
    const ready = next.map((id) => this.find(id));
    const funded = new Set(this.budget.divide(ready.map(holderOf)));
    const all = ready.every((task) => funded.has(holderOf(task)));
    if (all) for (const task of overtaken.map((id) => this.find(id))) task.overtaken = (task.overtaken ?? 0) + 1;
    // Who waits for money has no use for a worker.
    this.wants = all ? this.wantedBelow + this.direct + could.length : this.using + funded.size;
    this.state.peak = Math.max(this.state.peak, this.using + funded.size);
    return ready.filter((task) => funded.has(holderOf(task)));
  }

  /** What a task's attempt may spend; undefined where nothing is limited. */
  shareOf(task: TaskRecord): Budget | undefined {
    return this.budget.left(holderOf(task));
  }

  // Workers.

  /** A planner below has said what it has use for. */
  workersNeeded({ taskId, sender, ...need }: WorkersReport): void {
    const task = this.state.tasks.find(({ spec }) => spec.id === taskId);
    if (task?.child === undefined || task.divided !== true || !sameChain(task.child, sender)) return;
    task.workers = heardNeed(task.workers ?? FIRST_BELOW, need);
  }

  /** The planner above has said what this one may use. */
  workersLent(word: WorkersWord): void {
    this.state.workers = heardWord(this.state.workers ?? FIRST_LENT, word);
  }

  /** What the planners below are to be told now, each once. */
  takeWorkersWords(): { child: Chain; word: WorkersWord }[] {
    return this.words.splice(0);
  }

  /** What the planner above is to be told now; undefined where it knows, or there is none. */
  takeWorkersNeed(again = false): WorkersNeed | undefined {
    if (!this.isDivision) return undefined;
    const wants = Math.max(1, Math.min(this.limits.maxWorkers, this.wants));
    const told = needOf(this.state.workers ?? FIRST_LENT, { using: this.using, wants, again });
    if (told !== undefined) this.state.workers = told.lent;
    return told?.need;
  }

  /** Whether more workers are of use than it was lent. */
  get lacksWorkers(): boolean {
    return this.isDivision && this.wants > (this.state.workers ?? FIRST_LENT).most;
  }

  private get mayStart(): boolean {
    const { paused, refused, closing } = this.state;
    return paused === undefined && refused === undefined && closing === undefined;
  }

  private get lent(): TaskRecord[] {
    return this.state.tasks.filter((task) => task.divided === true && task.status === 'running');
  }

  /** Its own tasks that run, save divisions that have started. */
  private get direct(): number {
    return this.state.tasks.filter(isActive).length - this.lent.length;
  }

  private get using(): number {
    return this.lent.reduce((sum, { workers = FIRST_BELOW }) => sum + workers.held, this.direct);
  }

  private get wantedBelow(): number {
    return this.lent.reduce((sum, { workers = FIRST_BELOW }) => sum + workers.wants, 0);
  }

  /** Divides the workers between these and the planners below; returns how many of these get one. */
  private allot(could: readonly TaskRecord[]): number {
    const { lent } = this;
    const { maxWorkers } = this.limits;
    const { start, most } = allotWorkers({
      limit: this.isDivision ? Math.min(maxWorkers, (this.state.workers ?? FIRST_LENT).most) : maxWorkers,
      active: this.direct,
      ready: could.map(({ spec }) => spec.priority),
      below: lent.map(({ spec, workers = FIRST_BELOW }) => ({ ...workers, priority: spec.priority })),
    });
    for (const [i, task] of lent.entries()) {
      const changed = lend(task.workers ?? FIRST_BELOW, most[i] ?? 1);
      if (changed === undefined || task.child === undefined) continue;
      task.workers = changed.below;
      this.words.push({ child: task.child, word: changed.word });
    }
    return start;
  }

  private dispatchTasks() {
    return this.state.tasks.map(({ spec, status, branch, held, overtaken = 0 }) => ({
      ...spec,
      status,
      branch,
      held,
      overtaken,
    }));
  }
}
