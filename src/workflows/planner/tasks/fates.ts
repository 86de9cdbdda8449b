/**
 * What becomes of a planner's tasks: their starts, handoffs and landings, and what the server says of silent ones. No
 * await. Invariant: a message counts once, and only from the chain that this run started for that attempt.
 */
import type { ChainStatus } from '../../../shared/contracts/activities.ts';
import type { BranchOutcome, Handoff, HandoffMessage, OutcomeMessage, Used } from '../../../shared/contracts/task.ts';
import { isAtOrBelow } from '../../../shared/decisions/stuck.ts';
import { isActive } from '../../../shared/decisions/dispatch.ts';
import { type Chain, sameChain, taskRef, taskWorkflowId } from '../../../shared/ids.ts';
import { FIRST_BELOW } from '../../../shared/decisions/workers.ts';
import { RUN_TEXT } from '../../../shared/run-text.ts';
import { nextBranchState, nextTaskStatus } from '../../../shared/task-machine.ts';
import { News } from '../news.ts';
import { AbortedTasks } from './aborted.ts';
import { holderOf } from './book.ts';
import type { TaskRecord } from './records.ts';
import { told, usedBy, usedForConflicts } from './told.ts';

/** Ids that orphans of an earlier run of the same id may still hold. */
const MAX_TAKEN_IDS = 5;
const MAX_PREVIOUS_CHARS = 4_000;

export class TaskFates extends AbortedTasks {
  /** Handoffs that came before this run was told that their task has started. Empty whenever none is assigned. */
  private early: HandoffMessage[] = [];
  /** Set when this run is cut off, with why: what does not come to its end is cancelled, and not tried again. */
  protected cutOff: string | undefined;

  assigned(id: string, now: number): void {
    const task = this.find(id);
    task.status = nextTaskStatus(task.status, 'assigned');
    task.heardAt = now;
    this.state.peak = Math.max(this.state.peak, this.state.tasks.filter(isActive).length);
  }

  /** `divided`: its child is a subplanner. */
  started(id: string, child: Chain, divided = false): void {
    const task = this.find(id);
    task.status = nextTaskStatus(task.status, 'running');
    task.child = child;
    task.begun = task.attempt;
    if (divided) {
      task.divided = true;
      task.workers = FIRST_BELOW;
    }
    const early = this.early.filter((message) => message.taskId === id);
    this.early = this.early.filter((message) => message.taskId !== id);
    for (const message of early) this.handoff(message, task.heardAt);
  }

  /** The attempt's workflow could not be started: its id is taken by another chain. The next number is tried. */
  notStarted(id: string, reason: string): void {
    const task = this.find(id);
    this.budget.ended(holderOf(task));
    this.early = this.early.filter((message) => message.taskId !== id);
    task.status = nextTaskStatus(nextTaskStatus(task.status, 'running'), 'failed');
    task.taken = (task.taken ?? 0) + 1;
    if (task.taken > MAX_TAKEN_IDS) return this.settleFailed(task, reason);
    task.status = nextTaskStatus(task.status, 'pending');
    task.attempt += 1;
  }

  handoff(message: HandoffMessage, now: number): void {
    const { sender, handoff, queued } = message;
    const task = this.expecting(message.taskId, message.attempt, sender);
    if (task === undefined && this.isBeingStarted(message)) this.early.push(message);
    this.abortedUsed(sender, 'handoff', usedBy(handoff), !queued);
    if (task === undefined || task.status !== 'running') return;
    if (message.direct === true) this.notDivided(task, usedBy(handoff), now);
    else this.handedOff(task, handoff, queued, now);
  }

  outcome(message: OutcomeMessage, now: number): void {
    const task = this.expecting(message.taskId, message.attempt, message.sender);
    const used = usedForConflicts(message);
    this.abortedUsed(message.sender, 'outcome', used, true);
    if (task === undefined || task.branch !== 'queued') return;
    this.taskSpent(task, used);
    this.budget.ended(holderOf(task));
    this.ended(task, message.outcome, message.conflicts, now);
  }

  /** What the server says of a task that was asked after: a lost one becomes a failed handoff. */
  found(id: string, child: Chain, standing: ChainStatus, now: number): void {
    const task = this.find(id);
    if (task.child === undefined || !sameChain(task.child, child)) return;
    // Its own word may have come while the server was asked.
    if (task.status !== 'running' && task.branch !== 'queued') return;
    task.heardAt = now;
    switch (standing.kind) {
      case 'running':
        return;
      case 'completed': {
        if (standing.result === null) return this.lost(task, RUN_TEXT.noResult, now);
        const { handoff, outcome, conflicts, direct } = standing.result;
        if (direct === true) return this.notDivided(task, usedBy(handoff), now);
        if (task.status === 'running') this.handedOff(task, handoff, outcome.kind !== 'none', now);
        if (task.branch === 'queued') {
          this.taskSpent(task, usedForConflicts(standing.result));
          this.budget.ended(holderOf(task));
          this.ended(task, outcome, conflicts ?? task.conflicts, now);
        }
        return;
      }
      case 'failed':
        return this.lost(task, this.wasStuck(task) ?? standing.reason, now);
      case 'missing':
        return this.lost(task, RUN_TEXT.missing, now);
    }
  }

  /** Its subplanner found nothing to divide: the next attempt is one agent's, and this one was no failure. */
  private notDivided(task: TaskRecord, used: Used, now: number): void {
    task.heardAt = now;
    this.taskSpent(task, used);
    this.budget.ended(holderOf(task));
    task.status = nextTaskStatus(nextTaskStatus(task.status, 'failed'), 'pending');
    task.attempt += 1;
    task.taken = (task.taken ?? 0) + 1;
    task.direct = true;
    delete task.child;
    this.event(RUN_TEXT.notDivided(task.spec.id));
  }

  /** Why it, or its agent, was ended. */
  private wasStuck({ child, divided }: TaskRecord): string | undefined {
    if (child === undefined) return undefined;
    const isIts = ({ workflowId: id }: { workflowId: string }): boolean =>
      divided === true ? id === child.workflowId : isAtOrBelow(id, child.workflowId);
    const ended = this.state.stuck?.ended.findLast(isIts);
    return ended === undefined ? undefined : RUN_TEXT.stuckEnded(ended);
  }

  private handedOff(task: TaskRecord, said: Handoff, queued: boolean, now: number): void {
    task.heardAt = now;
    const why = said.status === 'failed' ? this.wasStuck(task) : undefined;
    const handoff = why === undefined ? said : { ...said, summary: why };
    this.taskSpent(task, usedBy(handoff));
    // What is queued may still need a conflict agent.
    if (handoff.status !== 'complete' || !queued) this.budget.ended(holderOf(task));
    told(task, handoff, this.isDivision);
    News.handoff(this.state.news, task.spec.id, task.attempt, handoff);
    if (handoff.commit !== undefined && task.child !== undefined) {
      const ref = handoff.held?.ref ?? taskRef(this.limits.runId, task.child.workflowId);
      task.left = { commit: handoff.commit, ref };
    }
    delete task.heldWork;
    if (handoff.status === 'complete') {
      task.status = nextTaskStatus(task.status, 'complete');
      if (queued) task.branch = nextBranchState(task.branch, 'queued');
      else this.settle(task);
      return;
    }
    if (handoff.commit !== undefined && task.left !== undefined) task.ref = task.left.ref;
    if (this.cutOff !== undefined) return this.close(task, this.cutOff);
    task.status = nextTaskStatus(task.status, 'failed');
    if (handoff.status === 'blocked') {
      if (handoff.held !== undefined) task.heldWork = handoff.held;
      task.reason = handoff.summary;
      this.trouble(RUN_TEXT.blocked(task.spec.id));
      this.settle(task);
    } else {
      this.retryOrSettle(task, handoff.summary, handoff.commit);
    }
  }

  private ended(task: TaskRecord, outcome: BranchOutcome, conflicts: number, now: number): void {
    task.heardAt = now;
    task.conflicts = conflicts;
    this.state.conflicts += conflicts;
    const { id } = task.spec;
    switch (outcome.kind) {
      case 'landed':
        task.branch = nextBranchState(task.branch, 'landed');
        task.commit = outcome.commit;
        delete this.state.doubtful;
        this.event(RUN_TEXT.landed(id, outcome.commit));
        if (outcome.warning !== undefined) {
          task.warning = outcome.warning;
          this.trouble(RUN_TEXT.landedOver(id, outcome.warning));
        }
        break;
      case 'none':
        task.branch = nextBranchState(nextBranchState(task.branch, 'ejected'), 'none');
        this.event(RUN_TEXT.nothingLeft(id));
        break;
      case 'conflicted':
        task.branch = nextBranchState(task.branch, 'conflicted');
        task.ref = outcome.ref;
        task.reason = RUN_TEXT.conflicted(id, outcome.files, outcome.conflicts, outcome.more);
        this.trouble(task.reason);
        break;
      case 'ejected':
        task.branch = nextBranchState(task.branch, 'ejected');
        task.ref = outcome.ref;
        task.reason = outcome.reason;
        if (outcome.held !== undefined) {
          task.heldWork = outcome.held;
          // Released once, it met a conflict, and what came of that is held.
          delete task.released;
        }
        if (outcome.refused && this.isForAll(outcome.doubtful === true)) this.state.refused = outcome.reason;
        this.trouble(RUN_TEXT.ejected(id, outcome.reason));
        break;
    }
    this.settle(task);
  }

  /** Whether a refusal is the branch's: one that may be for a change is, when it comes twice in a row. */
  private isForAll(doubtful: boolean): boolean {
    const before = this.state.doubtful ?? 0;
    this.state.doubtful = before + 1;
    return !doubtful || before > 0;
  }

  /** Its workflow ended without a word. */
  private lost(task: TaskRecord, reason: string, now: number): void {
    task.heardAt = now;
    this.budget.ended(holderOf(task), 'unknown');
    if (task.branch === 'queued') {
      task.branch = nextBranchState(task.branch, 'ejected');
      task.reason = RUN_TEXT.lostWhileQueued(reason);
      if (task.child !== undefined) task.ref = task.left?.ref ?? taskRef(this.limits.runId, task.child.workflowId);
      this.trouble(RUN_TEXT.ejected(task.spec.id, task.reason));
      this.settle(task);
      return;
    }
    task.status = nextTaskStatus(task.status, 'failed');
    this.retryOrSettle(task, reason, undefined);
  }

  private retryOrSettle(task: TaskRecord, summary: string, commit: string | undefined): void {
    const { id } = task.spec;
    const tried = task.attempt - (task.taken ?? 0) - (task.before ?? 0);
    const over = this.state.closing !== undefined || task.givenUp !== undefined;
    if (tried >= this.limits.maxAttempts || over) return this.settleFailed(task, summary);
    task.status = nextTaskStatus(task.status, 'pending');
    task.attempt += 1;
    task.previous = {
      summary: summary.slice(0, MAX_PREVIOUS_CHARS),
      ...(commit === undefined || task.ref === undefined ? {} : { commit, ref: task.ref }),
    };
    delete task.child;
    this.state.retries += 1;
    this.event(RUN_TEXT.retried(id, task.attempt));
  }

  protected get isDivision(): boolean {
    return this.limits.id !== undefined && this.limits.id !== this.limits.runId;
  }

  private expecting(id: string, attempt: number, sender: Chain): TaskRecord | undefined {
    const task = this.state.tasks.find(({ spec }) => spec.id === id);
    if (task?.child === undefined || task.attempt !== attempt || !sameChain(task.child, sender)) return undefined;
    return task;
  }

  /** A fast child may be heard before its start is: both arrive together when no worker ran for a while. */
  private isBeingStarted({ taskId, attempt, sender }: HandoffMessage): boolean {
    const task = this.state.tasks.find(({ spec }) => spec.id === taskId);
    if (task?.status !== 'assigned' || task.attempt !== attempt) return false;
    return sender.workflowId === taskWorkflowId(this.limits.id ?? this.limits.runId, taskId, attempt);
  }
}
