/**
 * What becomes of a planner's tasks: their starts, handoffs and landings, and what the server says of silent ones. No
 * await. Invariant: a message counts once, and only from the chain that this run started for that attempt.
 */
import type { ChainStatus } from '../../../shared/contracts/activities.ts';
import type { BranchOutcome, Handoff, HandoffMessage, OutcomeMessage, Used } from '../../../shared/contracts/task.ts';
import { type Chain, sameChain, taskRef, taskWorkflowId } from '../../../shared/base/ids.ts';
import { FIRST_BELOW } from '../../../shared/planner/lending.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import type { PlannerBudget } from './budget.ts';
import type { CancelledChildren } from './cancelled-children.ts';
import type { PlannerLimits } from './limits.ts';
import type { News } from './news.ts';
import type { RunStatus } from './run-status.ts';
import type { StuckRecord } from './stuck.ts';
import { holderOf, summaryOf, type TaskRecord } from './task-record.ts';
import type { TaskTable } from './task-table.ts';

/** Ids that orphans of an earlier run of the same id may still hold. */
const MAX_TAKEN_IDS = 5;

export type EventParts = {
  tasks: TaskTable;
  budget: PlannerBudget;
  news: News;
  status: RunStatus;
  limits: PlannerLimits;
  cancelled: CancelledChildren;
};

export class TaskEvents {
  private readonly parts: EventParts & { stuck: StuckRecord };
  /** Handoffs that came before this run was told that their task has started. Empty whenever none is assigned. */
  private early: HandoffMessage[] = [];

  constructor(parts: EventParts & { stuck: StuckRecord }) {
    this.parts = parts;
  }

  assigned(id: string, now: number): void {
    const { tasks } = this.parts;
    const task = tasks.get(id);
    tasks.move(task, 'assigned');
    task.attempt.heardAt = now;
    tasks.countAtWork();
  }

  /** `divided`: its child is a subplanner. */
  started(id: string, child: Chain, divided = false): void {
    const task = this.parts.tasks.get(id);
    this.parts.tasks.move(task, 'running');
    Object.assign(task.attempt, { begun: true, child, ...(divided ? { lent: FIRST_BELOW } : {}) });
    for (const message of this.takeEarly(id)) this.handoff(message, task.attempt.heardAt);
  }

  /**
   * The attempt's workflow could not be started: its id is taken by another chain. What it was to do is tried under the
   * next number.
   */
  notStarted(id: string, reason: string): void {
    const { tasks, budget } = this.parts;
    const task = tasks.get(id);
    budget.ended(holderOf(task));
    this.takeEarly(id);
    tasks.move(task, 'running', 'failed');
    if (task.tries.uncounted >= MAX_TAKEN_IDS) return this.failedForGood(task, reason);
    const { heardAt, previous, release, givenUp } = task.attempt;
    tasks.retry(task, { heardAt, previous, release, givenUp }, { uncounted: true });
  }

  handoff(message: HandoffMessage, now: number): void {
    const { sender, handoff, queued } = message;
    const task = this.expecting(message.taskId, message.attempt, sender);
    if (task === undefined && this.isBeingStarted(message)) this.early.push(message);
    this.parts.cancelled.used(sender, 'handoff', usedBy(handoff), !queued);
    if (task === undefined || task.status !== 'running') return;
    if (message.direct === true) this.notDivided(task, usedBy(handoff), now);
    else this.handedOff(task, handoff, queued, now);
  }

  outcome(message: OutcomeMessage, now: number): void {
    const task = this.expecting(message.taskId, message.attempt, message.sender);
    const used = usedForConflicts(message);
    this.parts.cancelled.used(message.sender, 'outcome', used, true);
    if (task === undefined || task.branch !== 'queued') return;
    this.spent(task, used);
    this.parts.budget.ended(holderOf(task));
    this.branchEnded(task, message.outcome, message.conflicts, now);
  }

  /** What the server says of a task that was asked after: one that ended without a word becomes a failed handoff. */
  found(id: string, child: Chain, standing: ChainStatus, now: number): void {
    const task = this.parts.tasks.get(id);
    if (task.attempt.child === undefined || !sameChain(task.attempt.child, child)) return;
    // Its own word may have come while the server was asked.
    if (task.status !== 'running' && task.branch !== 'queued') return;
    task.attempt.heardAt = now;
    switch (standing.kind) {
      case 'running':
        return;
      case 'completed': {
        if (standing.result === null) return this.endedSilently(task, RUN_TEXT.noResult, now);
        const { handoff, outcome, conflicts, direct } = standing.result;
        if (direct === true) return this.notDivided(task, usedBy(handoff), now);
        if (task.status === 'running') this.handedOff(task, handoff, outcome.kind !== 'none', now);
        if (task.branch === 'queued') {
          this.spent(task, usedForConflicts(standing.result));
          this.parts.budget.ended(holderOf(task));
          this.branchEnded(task, outcome, conflicts ?? task.outcome.conflicts, now);
        }
        return;
      }
      case 'failed':
        return this.endedSilently(task, this.parts.stuck.whyEnded(task) ?? standing.reason, now);
      case 'missing':
        return this.endedSilently(task, RUN_TEXT.missing, now);
    }
  }

  /** Its subplanner found nothing to divide: the next attempt is one agent's, and this one was no failure. */
  private notDivided(task: TaskRecord, used: Used, now: number): void {
    const { tasks, budget, news } = this.parts;
    this.spent(task, used);
    budget.ended(holderOf(task));
    tasks.move(task, 'failed');
    const { previous, givenUp } = task.attempt;
    tasks.retry(task, { heardAt: now, previous, givenUp }, { uncounted: true });
    task.direct = true;
    news.event(RUN_TEXT.notDivided(task.spec.id));
  }

  private handedOff(task: TaskRecord, handedOffAs: Handoff, queued: boolean, now: number): void {
    const { tasks, budget, news, status, limits, stuck } = this.parts;
    const why = handedOffAs.status === 'failed' ? stuck.whyEnded(task) : undefined;
    const handoff = why === undefined ? handedOffAs : { ...handedOffAs, summary: why };
    const { attempt, outcome } = task;
    attempt.heardAt = now;
    this.spent(task, usedBy(handoff));
    // What is queued may still need a conflict agent.
    if (handoff.status !== 'complete' || !queued) budget.ended(holderOf(task));
    outcome.summary = summaryOf(handoff, limits.isDivision);
    news.handoff(task.spec.id, attempt.number, handoff);
    if (handoff.commit !== undefined && attempt.child !== undefined) {
      const ref = handoff.held?.ref ?? taskRef(limits.runId, attempt.child.workflowId);
      outcome.work = { commit: handoff.commit, ref };
    }
    delete outcome.heldWork;
    if (handoff.status === 'complete') {
      tasks.move(task, 'complete');
      if (queued) tasks.moveBranch(task, 'queued');
      else tasks.settle(task);
      return;
    }
    if (handoff.commit !== undefined && outcome.work !== undefined) outcome.ref = outcome.work.ref;
    if (status.cutOffBecause !== undefined) return tasks.cancel(task, { reason: status.cutOffBecause });
    tasks.move(task, 'failed');
    if (handoff.status === 'blocked') {
      if (handoff.held !== undefined) outcome.heldWork = handoff.held;
      news.trouble(RUN_TEXT.blocked(task.spec.id));
      tasks.settle(task, { reason: handoff.summary });
    } else {
      this.retryOrSettle(task, handoff.summary, handoff.commit, now);
    }
  }

  private branchEnded(task: TaskRecord, result: BranchOutcome, conflicts: number, now: number): void {
    const { tasks, news, status } = this.parts;
    const { id } = task.spec;
    const { outcome } = task;
    task.attempt.heardAt = now;
    outcome.conflicts = conflicts;
    tasks.countConflicts(conflicts);
    switch (result.kind) {
      case 'landed':
        tasks.moveBranch(task, 'landed');
        outcome.landed = { commit: result.commit };
        status.tookPush();
        news.event(RUN_TEXT.landed(id, result.commit));
        if (result.warning !== undefined) {
          outcome.landed.warning = result.warning;
          news.trouble(RUN_TEXT.landedOver(id, result.warning));
        }
        return tasks.settle(task);
      case 'none':
        tasks.moveBranch(task, 'ejected', 'none');
        news.event(RUN_TEXT.nothingLeft(id));
        return tasks.settle(task);
      case 'conflicted': {
        const reason = RUN_TEXT.conflicted(id, result.files, result.conflicts, result.more);
        tasks.moveBranch(task, 'conflicted');
        outcome.ref = result.ref;
        news.trouble(reason);
        return tasks.settle(task, { reason });
      }
      case 'ejected':
        tasks.moveBranch(task, 'ejected');
        outcome.ref = result.ref;
        if (result.held !== undefined) {
          outcome.heldWork = result.held;
          // Released once, it met a conflict, and what came of that is held.
          delete task.attempt.release;
        }
        if (result.refused) status.refusedPush(result.reason, result.doubtful === true);
        news.trouble(RUN_TEXT.ejected(id, result.reason));
        return tasks.settle(task, { reason: result.reason });
    }
  }

  /** Its workflow ended, and nobody has heard what became of the work. */
  private endedSilently(task: TaskRecord, why: string, now: number): void {
    const { tasks, budget, news, limits } = this.parts;
    const { attempt, outcome } = task;
    attempt.heardAt = now;
    budget.ended(holderOf(task), 'unknown');
    if (task.branch === 'queued') {
      tasks.moveBranch(task, 'ejected');
      const reason = RUN_TEXT.lostWhileQueued(why);
      if (attempt.child !== undefined)
        outcome.ref = outcome.work?.ref ?? taskRef(limits.runId, attempt.child.workflowId);
      news.trouble(RUN_TEXT.ejected(task.spec.id, reason));
      return tasks.settle(task, { reason });
    }
    tasks.move(task, 'failed');
    this.retryOrSettle(task, why, undefined, now);
  }

  private retryOrSettle(task: TaskRecord, summary: string, commit: string | undefined, now: number): void {
    const { tasks, news, status, limits } = this.parts;
    const { attempt, outcome, tries } = task;
    const tried = attempt.number - tries.uncounted - tries.earlier;
    const over = status.closing !== undefined || attempt.givenUp !== undefined;
    if (tried >= limits.tuned.maxAttempts || over) return this.failedForGood(task, summary);
    const work = commit === undefined || outcome.ref === undefined ? {} : { commit, ref: outcome.ref };
    // Held work that an attempt was to land, and that it said nothing of, is still to be landed.
    const release = outcome.heldWork === undefined ? undefined : attempt.release;
    tasks.retry(task, { heardAt: now, previous: { summary, ...work }, release });
    tasks.countRetries(1);
    news.event(RUN_TEXT.retried(task.spec.id, task.attempt.number));
  }

  private failedForGood(task: TaskRecord, reason: string): void {
    const { tasks, news } = this.parts;
    const { number, givenUp } = task.attempt;
    if (givenUp === undefined) news.trouble(RUN_TEXT.failed(task.spec.id, number, reason));
    else news.event(RUN_TEXT.cancelledTask(task.spec.id, givenUp.reason));
    tasks.settle(task, { reason });
  }

  private spent(task: TaskRecord, used: Used): void {
    this.parts.budget.spent(holderOf(task), used);
    this.parts.tasks.used(task, used);
  }

  private expecting(id: string, attempt: number, sender: Chain): TaskRecord | undefined {
    const task = this.parts.tasks.find(id);
    const child = task?.attempt.child;
    if (child === undefined || task?.attempt.number !== attempt || !sameChain(child, sender)) return undefined;
    return task;
  }

  /** A fast child may be heard before its start is: both arrive together when no worker ran for a while. */
  private isBeingStarted({ taskId, attempt, sender }: HandoffMessage): boolean {
    const task = this.parts.tasks.find(taskId);
    if (task?.status !== 'assigned' || task.attempt.number !== attempt) return false;
    return sender.workflowId === taskWorkflowId(this.parts.limits.plannerId, taskId, attempt);
  }

  private takeEarly(id: string): HandoffMessage[] {
    const early = this.early.filter((message) => message.taskId === id);
    this.early = this.early.filter((message) => message.taskId !== id);
    return early;
  }
}

const usedBy = ({ metrics, estimated, unmeasured }: Handoff): Used => ({
  metrics,
  estimated: unmeasured === true ? {} : estimated,
});

const usedForConflicts = (result: Pick<OutcomeMessage, 'conflictMetrics' | 'conflictEstimated'>): Used => ({
  metrics: result.conflictMetrics,
  estimated: result.conflictEstimated,
});
