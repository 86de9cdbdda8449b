/**
 * What people do to a planner's tasks: steer, cancel, try again, add, limit, approve. No await; plain JSON. Whether it
 * may be done is asked first, by the validators of updates: the questions here answer with the reason to refuse.
 */
import type { SetLimits, Verdict } from '../../../shared/contracts/people.ts';
import type { TaskSpec } from '../../../shared/contracts/task.ts';
import { isActive, isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../../shared/planner/text.ts';
import { nextBranchState, nextTaskStatus } from '../../../shared/task/task-machine.ts';
import { News } from './news.ts';
import { holderOf } from './task-table.ts';
import { TaskFates } from './task-events.ts';
import { newTask, type TaskRecord } from './task-record.ts';

const MAX_GUIDANCE = 10;
const MAX_PREVIOUS_CHARS = 4_000;

/** What is said of an attempt that did not land. */
const REVIVED_WITHOUT = ['taken', 'whole', 'lostIn', 'lostWith', 'reason', 'givenUp', 'heldWork', 'released'] as const;

type Limited = Pick<SetLimits, 'maxWorkers' | 'maxAttempts' | 'budget'>;

export class PeopleState extends TaskFates {
  pause(now: number, reason: string): void {
    this.state.paused = { since: now, reason };
  }

  resume(): void {
    delete this.state.paused;
    this.state.failuresInRow = 0;
  }

  steer(text: string): void {
    News.steering(this.state.news, text);
    this.state.guidance = [...this.state.guidance, text].slice(-MAX_GUIDANCE);
  }

  /** A person gives up one task. Returns the workflow that is to be cancelled, where one runs. */
  cancelTask(id: string, reason: string): Chain | undefined {
    const child = this.abort(this.find(id), reason);
    // Told, and no reason to plan at once: this is what people wanted.
    this.event(RUN_TEXT.cancelledTask(id, reason));
    return child;
  }

  /** The run is cancelled: from here on, what does not come to its end is cancelled, and not tried again. */
  cut(reason: string): void {
    this.cutOff = reason;
  }

  /** At the end of that: whatever is still open is given up, and what nobody has told of counts as spent. */
  cancelOpen(reason: string): void {
    for (const task of this.state.tasks) {
      if (isActive(task) || task.branch === 'queued') this.budget.ended(holderOf(task), 'unknown');
      if (task.status === 'pending' || isActive(task)) this.close(task, reason);
      if (task.branch === 'queued') task.branch = nextBranchState(task.branch, 'ejected');
    }
    for (const chain of this.winding) this.wound(chain);
  }

  /** The subplanners that work for this planner now. */
  divisions(): Chain[] {
    return this.state.tasks.flatMap(({ child, divided, status }) =>
      divided === true && child !== undefined && status === 'running' ? [child] : [],
    );
  }

  /** A running task may hand off until then; it is not tried again. One that has not begun is cancelled. */
  giveUp(id: string, reason: string, until: number): void {
    const task = this.find(id);
    if (task.status === 'running' || task.status === 'assigned') task.givenUp = { reason, until };
    else this.cancelTask(id, reason);
  }

  /** Tasks that had time to hand off and did not. */
  overdue(now: number): { id: string; reason: string }[] {
    return this.state.tasks.flatMap(({ spec, givenUp, status }) =>
      givenUp !== undefined && givenUp.until <= now && (status === 'running' || status === 'assigned')
        ? [{ id: spec.id, reason: givenUp.reason }]
        : [],
    );
  }

  /** When the next task is overdue, in ms since the epoch; Infinity when none will be. */
  get nextOverdue(): number {
    return Math.min(...this.state.tasks.filter(isActive).flatMap(({ givenUp }) => givenUp?.until ?? []));
  }

  /** Why a task cannot be tried again; undefined when it can. */
  whyNotRetried(id: string): string | undefined {
    const task = this.state.tasks.find(({ spec }) => spec.id === id);
    if (task === undefined) return PLANNER_TEXT.noTask(id);
    if (!isSettled(task) || isDone(task)) return PLANNER_TEXT.notLost(id, standingOf(task));
    if (this.state.closing !== undefined) return PLANNER_TEXT.closing(this.state.closing.reason);
    if (task.whole === undefined) return PLANNER_TEXT.forgotten(id);
    const lost = task.whole.dependsOn.find((other) => {
      const dependency = this.state.tasks.find(({ spec }) => spec.id === other);
      return dependency === undefined || (isSettled(dependency) && !isDone(dependency));
    });
    return lost === undefined ? undefined : PLANNER_TEXT.dependsOnLost(id, lost);
  }

  /** Tries a task again that did not land, and those that were cancelled because of it. Returns all of them. */
  retry(id: string, text: string | undefined, now: number): string[] {
    const revived = this.reviveWithDependents(id, text, now);
    this.state.retries += 1 + revived.length;
    this.event(RUN_TEXT.retriedByPeople(id, text, revived));
    return [id, ...revived];
  }

  /** Why a task's work cannot be released; undefined when a guard holds it. */
  whyNotReleased(id: string): string | undefined {
    const task = this.state.tasks.find(({ spec }) => spec.id === id);
    if (task === undefined) return PLANNER_TEXT.noTask(id);
    if (task.heldWork === undefined || !isSettled(task)) return PLANNER_TEXT.notHeld(id, standingOf(task));
    return this.state.closing === undefined ? undefined : PLANNER_TEXT.closing(this.state.closing.reason);
  }

  /** Its next attempt lands what is held as it is. Returns the tasks that were cancelled because of it, which are back. */
  release(id: string, reason: string, now: number): string[] {
    const task = this.find(id);
    const { heldWork } = task;
    const revived = this.reviveWithDependents(id, undefined, now);
    delete task.previous;
    Object.assign(task, { heldWork, released: reason });
    this.state.retries += revived.length;
    this.event(RUN_TEXT.released(id, reason, revived));
    return revived;
  }

  /** Returns those that were cancelled because of it. */
  private reviveWithDependents(id: string, text: string | undefined, now: number): string[] {
    const revived: string[] = [];
    this.revive(this.find(id), text, now);
    for (let grew = true; grew; ) {
      grew = false;
      for (const task of this.state.tasks) {
        const { lostWith } = task;
        const back = lostWith === id || (lostWith !== undefined && revived.includes(lostWith));
        if (task.status !== 'cancelled' || !back || this.whyNotRetried(task.spec.id) !== undefined) continue;
        this.revive(task, undefined, now);
        revived.push(task.spec.id);
        grew = true;
      }
    }
    News.answered(this.state.news, 1 + revived.length);
    return revived;
  }

  private revive(task: TaskRecord, text: string | undefined, now: number): void {
    const conflicted = task.branch === 'conflicted';
    task.status = nextTaskStatus(task.status, 'pending');
    if (task.branch !== 'none') task.branch = nextBranchState(task.branch, 'none');
    task.spec = task.whole ?? task.spec;
    const said = [task.reason, ...(text === undefined ? [] : [PLANNER_TEXT.saidWithRetry(text)])];
    task.previous = {
      summary: said
        .filter((line) => line !== undefined)
        .join('\n\n')
        .slice(0, MAX_PREVIOUS_CHARS),
      // What conflicts with the branch is done anew on it.
      ...(task.left === undefined || conflicted ? {} : task.left),
    };
    if (task.begun === task.attempt) task.attempt += 1;
    task.before = task.attempt - 1;
    task.heardAt = now;
    for (const key of REVIVED_WITHOUT) delete task[key];
  }

  /** Why these cannot be the limits; undefined when they can. */
  whyNotLimited({ budget }: Limited): string | undefined {
    const { spent } = this.budget.seen;
    if ((budget?.tokens ?? Infinity) < spent.tokens || (budget?.usd ?? Infinity) < spent.usd)
      return PLANNER_TEXT.spentAlready(spent);
    return undefined;
  }

  /** A run that ended for want of what it is given now goes on. */
  limit({ maxWorkers, maxAttempts, budget }: Limited): void {
    const named = {
      ...(maxWorkers === undefined ? {} : { maxWorkers }),
      ...(maxAttempts === undefined ? {} : { maxAttempts }),
    };
    this.state.limits = { ...this.state.limits, ...named };
    Object.assign(this.limits, named);
    if (budget === undefined) return;
    this.budget.limit(budget);
    this.event(RUN_TEXT.budgetChanged(this.budget.seen.total));
    if (this.state.closing?.by !== 'budget' || this.budget.isSpent) return;
    delete this.state.closing;
    this.trouble(RUN_TEXT.budgetBack);
  }

  /** What the run's settings have become. */
  get tuned(): { maxWorkers: number; maxAttempts: number } {
    const { maxWorkers, maxAttempts } = this.limits;
    return { maxWorkers, maxAttempts };
  }

  // Plans that wait for a person.

  /** The tasks of these plans, which nothing starts. */
  heldPlans(): Map<string, TaskRecord[]> {
    const plans = new Map<string, TaskRecord[]>();
    for (const task of this.state.tasks) {
      if (task.held === undefined || task.status !== 'pending') continue;
      plans.set(task.held, [...(plans.get(task.held) ?? []), task]);
    }
    return plans;
  }

  /** A rejected plan's tasks are cancelled, and the planner's model is told why. */
  planDecided(plan: string, { approved, reason }: Pick<Verdict, 'approved' | 'reason'>): void {
    const tasks = this.heldPlans().get(plan) ?? [];
    for (const task of tasks) {
      delete task.held;
      if (!approved) this.close(task, PLANNER_TEXT.planRejected(reason));
    }
    const ids = tasks.map(({ spec }) => spec.id);
    if (ids.length === 0) return;
    if (approved) this.event(RUN_TEXT.planApproved(ids, reason));
    else News.steering(this.state.news, RUN_TEXT.planRejected(ids, reason));
  }

  /** Adds a task that no model has planned. */
  add(spec: TaskSpec, now: number): void {
    this.state.tasks.push(newTask(spec, now, this.state.planned));
    this.event(RUN_TEXT.addedByPeople(spec.id, spec.description));
  }
}

/** How a task stands, in words for people. */
export const standingOf = ({ status, branch }: Pick<TaskRecord, 'status' | 'branch'>): string =>
  branch === 'queued' ? 'waiting to land' : branch === 'landed' ? 'landed' : status;
