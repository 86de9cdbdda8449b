/**
 * What people do to a planner's tasks: steer, cancel, try again, add, limit, approve. No await. Whether it may be done
 * is asked first, by the validators of updates: the questions here answer with the reason to refuse.
 */
import type { ApprovalVerdict, SetLimits } from '../../../shared/contracts/people.ts';
import type { TaskSpec } from '../../../shared/contracts/task.ts';
import { isActive, isDone, isSettled } from '../../../shared/planner/dispatch.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../../shared/planner/text.ts';
import type { PlanProgress } from './plan-progress.ts';
import type { EventParts } from './task-events.ts';
import { holderOf, newTask, standingOf, type TaskRecord } from './task-record.ts';

type NewLimits = Pick<SetLimits, 'maxWorkers' | 'maxAttempts' | 'budget'>;

export class Commands {
  private readonly parts: EventParts & { plan: PlanProgress };

  constructor(parts: EventParts & { plan: PlanProgress }) {
    this.parts = parts;
  }

  pause(now: number, reason: string): void {
    this.parts.status.pause(now, reason);
  }

  resume(): void {
    this.parts.status.resume();
    this.parts.plan.forgetFailures();
  }

  steer(text: string): void {
    this.parts.news.steering(text);
    this.parts.plan.guide(text);
  }

  /** A person gives up one task. Returns the workflow that is to be cancelled, where one runs. */
  cancelTask(id: string, reason: string): Chain | undefined {
    const { tasks, cancelled, news } = this.parts;
    const task = tasks.get(id);
    const child = cancelled.add(task);
    tasks.cancel(task, { reason });
    // Told, and no reason to plan at once: this is what people wanted.
    news.event(RUN_TEXT.cancelledTask(id, reason));
    return child;
  }

  /** The run is cancelled: from here on, what does not come to its end is cancelled, and not tried again. */
  cutOff(reason: string): void {
    this.parts.status.cutOffFor(reason);
  }

  /** At the end of that: whatever is still open is given up, and what nobody has told of counts as spent. */
  cancelOpen(reason: string): void {
    const { tasks, budget, cancelled } = this.parts;
    for (const task of tasks.records) {
      if (isActive(task) || task.branch === 'queued') budget.ended(holderOf(task), 'unknown');
      if (task.status === 'pending' || isActive(task)) tasks.cancel(task, { reason });
      if (task.branch === 'queued') tasks.moveBranch(task, 'ejected');
    }
    for (const chain of cancelled.chains) cancelled.ended(chain);
  }

  /** A task at work may hand off until then; it is not tried again. One that has not begun is cancelled. */
  giveUp(id: string, reason: string, until: number): void {
    const task = this.parts.tasks.get(id);
    if (isActive(task)) task.attempt.givenUp = { reason, until };
    else this.cancelTask(id, reason);
  }

  /** Tasks that had time to hand off and did not. */
  overdue(now: number): { id: string; reason: string }[] {
    return this.parts.tasks.records
      .filter(isActive)
      .flatMap(({ spec, attempt: { givenUp } }) =>
        givenUp !== undefined && givenUp.until <= now ? [{ id: spec.id, reason: givenUp.reason }] : [],
      );
  }

  /** When the next task is overdue, in ms since the epoch; Infinity when none will be. */
  get nextOverdue(): number {
    return Math.min(
      ...this.parts.tasks.records.filter(isActive).flatMap(({ attempt }) => attempt.givenUp?.until ?? []),
    );
  }

  /** Why a task cannot be tried again; undefined when it can. */
  whyNotRetried(id: string): string | undefined {
    const { tasks, status } = this.parts;
    const task = tasks.find(id);
    if (task === undefined) return PLANNER_TEXT.noTask(id);
    if (!isSettled(task) || isDone(task)) return PLANNER_TEXT.notLost(id, standingOf(task));
    if (status.closing !== undefined) return PLANNER_TEXT.closing(status.closing.reason);
    const planned = task.outcome.loss?.spec;
    if (planned === undefined) return PLANNER_TEXT.forgotten(id);
    const unlanded = planned.dependsOn.find((other) => {
      const dependency = tasks.find(other);
      return dependency === undefined || (isSettled(dependency) && !isDone(dependency));
    });
    return unlanded === undefined ? undefined : PLANNER_TEXT.dependsOnLost(id, unlanded);
  }

  /** Tries a task again that did not land, and those that were cancelled because of it. Returns all of them. */
  retry(id: string, text: string | undefined, now: number): string[] {
    this.revive(this.parts.tasks.get(id), text, now);
    const dependents = this.reviveDependents(id, now);
    this.parts.tasks.countRetries(1 + dependents.length);
    this.parts.news.event(RUN_TEXT.retriedByPeople(id, text, dependents));
    return [id, ...dependents];
  }

  /** Why a task's work cannot be released; undefined when a guard holds it. */
  whyNotReleased(id: string): string | undefined {
    const { tasks, status } = this.parts;
    const task = tasks.find(id);
    if (task === undefined) return PLANNER_TEXT.noTask(id);
    if (task.outcome.heldWork === undefined || !isSettled(task)) return PLANNER_TEXT.notHeld(id, standingOf(task));
    return status.closing === undefined ? undefined : PLANNER_TEXT.closing(status.closing.reason);
  }

  /** Its next attempt lands what is held as it is. Returns the tasks that were cancelled because of it, which are back. */
  release(id: string, reason: string, now: number): string[] {
    const { tasks, news } = this.parts;
    tasks.revive(tasks.get(id), { heardAt: now, release: reason });
    const dependents = this.reviveDependents(id, now);
    tasks.countRetries(dependents.length);
    news.event(RUN_TEXT.released(id, reason, dependents));
    return dependents;
  }

  /** Those that were cancelled because of this one, which is back. Returns them. */
  private reviveDependents(id: string, now: number): string[] {
    const revived: string[] = [];
    for (let grew = true; grew; ) {
      grew = false;
      for (const task of this.parts.tasks.records) {
        const dependency = task.outcome.loss?.dependency;
        const back = dependency !== undefined && (dependency === id || revived.includes(dependency));
        if (task.status !== 'cancelled' || !back || this.whyNotRetried(task.spec.id) !== undefined) continue;
        this.revive(task, undefined, now);
        revived.push(task.spec.id);
        grew = true;
      }
    }
    this.parts.news.answered(1 + revived.length);
    return revived;
  }

  private revive(task: TaskRecord, text: string | undefined, now: number): void {
    const { loss, work } = task.outcome;
    const words = [loss?.reason, text === undefined ? undefined : PLANNER_TEXT.saidWithRetry(text)];
    const summary = words.filter((line) => line !== undefined).join('\n\n');
    // What conflicts with the branch is done anew on it.
    const goesOn = task.branch === 'conflicted' ? {} : work;
    this.parts.tasks.revive(task, { heardAt: now, previous: { summary, ...goesOn } });
  }

  /** Why these cannot be the limits; undefined when they can. */
  whyNotLimited({ budget }: NewLimits): string | undefined {
    const { spent } = this.parts.budget.seen;
    if ((budget?.tokens ?? Infinity) < spent.tokens || (budget?.usd ?? Infinity) < spent.usd)
      return PLANNER_TEXT.spentAlready(spent);
    return undefined;
  }

  /** A run that ended for want of what it is given now goes on. */
  limit({ maxWorkers, maxAttempts, budget: total }: NewLimits): void {
    const { limits, budget, news, status } = this.parts;
    limits.change({ maxWorkers, maxAttempts });
    if (total === undefined) return;
    budget.limit(total);
    news.event(RUN_TEXT.budgetChanged(budget.seen.total));
    if (status.closing?.by !== 'budget' || budget.isSpent) return;
    status.reopen();
    news.trouble(RUN_TEXT.budgetBack);
  }

  /** The tasks of plans that wait for a person, by plan: nothing starts them. */
  unapprovedPlans(): Map<string, TaskRecord[]> {
    const plans = new Map<string, TaskRecord[]>();
    for (const task of this.parts.tasks.records) {
      const plan = task.attempt.unapprovedPlan;
      if (plan === undefined || task.status !== 'pending') continue;
      plans.set(plan, [...(plans.get(plan) ?? []), task]);
    }
    return plans;
  }

  /** A rejected plan's tasks are cancelled, and the planner's model is told why. */
  planDecided(plan: string, { approved, reason }: Pick<ApprovalVerdict, 'approved' | 'reason'>): void {
    const { tasks, news } = this.parts;
    const decided = this.unapprovedPlans().get(plan) ?? [];
    for (const task of decided) {
      delete task.attempt.unapprovedPlan;
      if (!approved) tasks.cancel(task, { reason: PLANNER_TEXT.planRejected(reason) });
    }
    const ids = decided.map(({ spec }) => spec.id);
    if (ids.length === 0) return;
    if (approved) news.event(RUN_TEXT.planApproved(ids, reason));
    else news.steering(RUN_TEXT.planRejected(ids, reason));
  }

  /** Adds a task that no model has planned. */
  add(spec: TaskSpec, now: number): void {
    this.parts.tasks.add(newTask(spec, now));
    this.parts.news.event(RUN_TEXT.addedByPeople(spec.id, spec.description));
  }
}
