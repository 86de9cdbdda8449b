/**
 * What a planner knows and decides: tasks, their branches, what the planner's model has not seen yet. No
 * await; the whole state is plain JSON. Invariants:
 * 1. Every change of a status goes through the state machines.
 * 2. A message counts once, and only from the chain that this run started for that attempt.
 * 3. A settled task shrinks to what the report needs.
 */
import type { ChainStatus, PlanningNews } from '../shared/contracts/activities.ts';
import type { Budget, Spent } from '../shared/contracts/budget.ts';
import type { Plan, Scratchpad } from '../shared/contracts/plan.ts';
import {
  addMetrics,
  type AgentMetrics,
  type BranchOutcome,
  type Handoff,
  type HandoffMessage,
  NO_METRICS,
  type OutcomeMessage,
  type TaskSpec,
} from '../shared/contracts/task.ts';
import { hopelessTasks, isActive, isSettled, type PlanningInput, readyTasks } from '../shared/decisions/dispatch.ts';
import { FailureType, terminal } from '../shared/failures.ts';
import { boundedPaths } from '../shared/handoff-size.ts';
import { workDigest } from '../shared/plan-rules.ts';
import { type Chain, sameChain, taskRef, taskWorkflowId } from '../shared/ids.ts';
import { RUN_TEXT } from '../shared/run-text.ts';
import { nextBranchState, nextTaskStatus } from '../shared/task-machine.ts';
import { type CarriedBudget, PlannerBudget } from './planner-budget.ts';
import { News, noNews } from './planner-news.ts';
import { shrink, type TaskRecord } from './task-records.ts';

/** Ids that orphans of an earlier run of the same id may still hold. */
const MAX_TAKEN_IDS = 5;
const MAX_PREVIOUS_CHARS = 4_000;
const MAX_GUIDANCE = 10;
/** Of one division, with all below it, as they are reported. */
const MAX_SUBTASKS = 60;

export type Paused = { since: number; reason: string };

type State = {
  tasks: TaskRecord[];
  scratchpad: Scratchpad;
  done: boolean;
  planned: number;
  retries: number;
  conflicts: number;
  peak: number;
  failuresInRow: number;
  metrics: AgentMetrics;
  news: News;
  guidance: string[];
  paused?: Paused;
  budget?: CarriedBudget;
  /** Set when nothing more is begun, with why; what is under way ends. */
  closing?: { by: 'budget' | 'planning' | 'person'; reason: string };
  /** Workflows of tasks that were cancelled and have not ended yet. */
  winding?: Chain[];
  /** Set when the remote refuses pushes: nothing more is started, and the run ends with this reason. */
  refused?: string;
};

const NOTHING: State = {
  tasks: [],
  scratchpad: { goals: '', state: '', reasoning: '', intelligence: '' },
  done: false,
  planned: 0,
  retries: 0,
  conflicts: 0,
  peak: 0,
  failuresInRow: 0,
  metrics: NO_METRICS,
  news: noNews(),
  guidance: [],
};

export class PlannerState {
  private readonly state: State;
  private readonly limits: {
    /** Of the root. */
    runId: string;
    /** Of this planner's own workflow, where it is not the root. */
    id?: string;
    maxWorkers: number;
    maxAttempts: number;
    replanAfter: number;
    budget?: Budget;
    maxOutputTokens?: number;
  };
  private readonly budget: PlannerBudget;
  /** Handoffs that came before this run was told that their task has started. Empty whenever none is assigned. */
  private early: HandoffMessage[] = [];

  constructor(limits: PlannerState['limits'], carried?: unknown) {
    this.limits = limits;
    this.state = carried === undefined ? structured(NOTHING) : structured(carried as State);
    this.budget = new PlannerBudget(limits.budget ?? {}, limits.maxOutputTokens ?? 0, this.state.budget);
  }

  toJSON(): State {
    return { ...this.state, budget: this.budget.toJSON() };
  }

  get closing(): State['closing'] {
    return this.state.closing;
  }
  /** The total and what of it is spent; undefined where nothing is limited. */
  get budgetSeen(): { total: Budget; spent: Spent } | undefined {
    return this.budget.isLimited ? this.budget.seen : undefined;
  }

  get tasks(): readonly TaskRecord[] {
    return this.state.tasks;
  }
  get scratchpad(): Scratchpad {
    return this.state.scratchpad;
  }
  get metrics(): AgentMetrics {
    return this.state.metrics;
  }
  get paused(): Paused | undefined {
    return this.state.paused;
  }
  get refused(): string | undefined {
    return this.state.refused;
  }
  get guidance(): readonly string[] {
    return this.state.guidance;
  }

  // What people say.

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

  // Planning.

  planningInput(): PlanningInput {
    const { tasks, done, planned, news } = this.state;
    return {
      planned,
      done,
      active: tasks.filter(isActive).length,
      pending: tasks.filter((task) => task.status === 'pending').length,
      queued: tasks.filter((task) => task.branch === 'queued').length,
      maxWorkers: this.limits.maxWorkers,
      newHandoffs: news.handoffs.length,
      newTroubles: news.troubles,
      steering: news.steering.length,
      replanAfter: this.limits.replanAfter,
    };
  }

  /** What the planner's model has not seen; it is taken out, and given back by `untold` when planning failed. */
  takeNews(): PlanningNews & News {
    const { news } = this.state;
    this.state.news = noNews();
    const open = this.state.tasks
      .filter((task) => !isSettled(task))
      .map(({ spec, status, branch }) => ({
        id: spec.id,
        status: branch === 'queued' ? 'waiting to land' : status,
        scope: spec.scope,
      }));
    return { ...news, open };
  }

  untold(news: News): void {
    News.untold(this.state.news, news);
  }

  /** What the tasks that are not settled were asked to do: it is carried along until they are. */
  openSpecs(): TaskSpec[] {
    return this.state.tasks.flatMap((task) => (isSettled(task) ? [] : [task.spec]));
  }

  applyPlan(plan: Plan, now: number): void {
    this.state.scratchpad = plan.scratchpad;
    this.state.done = plan.done;
    this.state.planned += 1;
    this.state.failuresInRow = 0;
    for (const spec of plan.tasks) {
      this.state.tasks.push({
        spec,
        status: 'pending',
        branch: 'none',
        attempt: 1,
        heardAt: now,
        conflicts: 0,
        digest: workDigest(spec.description),
      });
    }
  }

  /** Counts a round of planning that gave no plan; returns how many there were in a row. */
  planningFailed(): number {
    this.state.failuresInRow += 1;
    return this.state.failuresInRow;
  }

  /** The share of a round of planning; null when too little is free for one, undefined where nothing is limited. */
  beginRound(): Budget | null | undefined {
    if (!this.budget.isLimited) return undefined;
    const { active, queued } = this.planningInput();
    return this.budget.begin(active + queued === 0);
  }

  /** What a round of planning has cost. */
  roundSpent(metrics: AgentMetrics): void {
    this.budget.planned(metrics);
    this.spent(metrics);
  }

  private spent(metrics: AgentMetrics): void {
    this.state.metrics = addMetrics(this.state.metrics, metrics);
    if (!this.budget.warns()) return;
    const { total, spent } = this.budget.seen;
    this.trouble(RUN_TEXT.budgetNear(total, spent));
  }

  /** What a task's attempt may spend; undefined where nothing is limited. */
  shareOf(task: TaskRecord): Budget | undefined {
    return this.budget.left(holderOf(task));
  }

  /** Ends a run that has too little left for anything more, once nothing is under way that could free some. */
  closeWhenSpent(): void {
    const { active, queued } = this.planningInput();
    if (this.state.closing !== undefined || active + queued > 0) return;
    if (!this.budget.isLimited || !this.budget.isSpent) return;
    this.closeForBudget();
  }

  closeForBudget(): void {
    const { total, spent } = this.budget.seen;
    this.closeFor('budget', RUN_TEXT.budgetSpent(total, spent));
  }

  /** Nothing more is begun; what is under way ends. */
  closeFor(by: 'budget' | 'planning' | 'person', reason: string): void {
    this.state.closing = { by, reason };
    for (const task of this.state.tasks) if (task.status === 'pending') this.close(task, reason);
  }

  // Dispatch.

  ready(): TaskRecord[] {
    const { paused, refused, closing } = this.state;
    if (paused !== undefined || refused !== undefined || closing !== undefined) return [];
    for (const { id, because } of hopelessTasks(this.dispatchTasks())) {
      this.close(this.find(id), RUN_TEXT.dependencyFailed(because));
      this.trouble(RUN_TEXT.cancelled(id, because));
    }
    const ready = readyTasks(this.dispatchTasks(), this.limits.maxWorkers).map((id) => this.find(id));
    const funded = new Set(this.budget.divide(ready.map(holderOf)));
    return ready.filter((task) => funded.has(holderOf(task)));
  }

  assigned(id: string, now: number): void {
    const task = this.find(id);
    task.status = nextTaskStatus(task.status, 'assigned');
    task.heardAt = now;
    this.state.peak = Math.max(this.state.peak, this.state.tasks.filter(isActive).length);
  }

  started(id: string, child: Chain): void {
    const task = this.find(id);
    task.status = nextTaskStatus(task.status, 'running');
    task.child = child;
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

  // What tasks say.

  handoff(message: HandoffMessage, now: number): void {
    const task = this.expecting(message.taskId, message.attempt, message.sender);
    if (task === undefined && this.isBeingStarted(message)) this.early.push(message);
    if (task === undefined || task.status !== 'running') return;
    if (message.direct === true) this.notDivided(task, message.handoff.metrics, now);
    else this.handedOff(task, message.handoff, message.queued, now);
  }

  outcome(message: OutcomeMessage, now: number): void {
    const task = this.expecting(message.taskId, message.attempt, message.sender);
    if (task === undefined || task.branch !== 'queued') return;
    this.taskSpent(task, message.conflictMetrics);
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
        const { handoff, outcome, conflictMetrics, conflicts, direct } = standing.result;
        if (direct === true) return this.notDivided(task, handoff.metrics, now);
        if (task.status === 'running') this.handedOff(task, handoff, outcome.kind !== 'none', now);
        if (task.branch === 'queued') {
          this.taskSpent(task, conflictMetrics);
          this.budget.ended(holderOf(task));
          this.ended(task, outcome, conflicts ?? task.conflicts, now);
        }
        return;
      }
      case 'failed':
        return this.lost(task, standing.reason, now);
      case 'missing':
        return this.lost(task, RUN_TEXT.missing, now);
    }
  }

  get winding(): readonly Chain[] {
    return this.state.winding ?? [];
  }

  wound(chain: Chain): void {
    this.state.winding = this.winding.filter((each) => !sameChain(each, chain));
  }

  /** A person gives up one task. Returns the workflow that is to be cancelled, where one runs. */
  cancelTask(id: string, reason: string): Chain | undefined {
    const task = this.find(id);
    const { child } = task;
    this.budget.ended(holderOf(task), child === undefined ? 'free' : 'unknown');
    if (child !== undefined) this.state.winding = [...this.winding, child];
    this.close(task, reason);
    // Told, and no reason to plan at once: this is what people wanted.
    this.event(RUN_TEXT.cancelledTask(id, reason));
    return child;
  }

  /** At a cancellation of the run: whatever is open is given up. */
  cancelOpen(reason: string): void {
    for (const task of this.state.tasks) {
      if (task.status === 'pending' || isActive(task)) this.close(task, reason);
      if (task.branch === 'queued') task.branch = nextBranchState(task.branch, 'ejected');
    }
  }

  totals(): Pick<State, 'planned' | 'retries' | 'conflicts' | 'peak' | 'done'> {
    const { planned, retries, conflicts, peak, done } = this.state;
    return { planned, retries, conflicts, peak, done };
  }

  /** Its subplanner found nothing to divide: the next attempt is one agent's, and this one was no failure. */
  private notDivided(task: TaskRecord, metrics: AgentMetrics, now: number): void {
    task.heardAt = now;
    this.taskSpent(task, metrics);
    this.budget.ended(holderOf(task));
    task.status = nextTaskStatus(nextTaskStatus(task.status, 'failed'), 'pending');
    task.attempt += 1;
    task.taken = (task.taken ?? 0) + 1;
    task.direct = true;
    delete task.child;
    this.event(RUN_TEXT.notDivided(task.spec.id));
  }

  private handedOff(task: TaskRecord, handoff: Handoff, queued: boolean, now: number): void {
    task.heardAt = now;
    this.taskSpent(task, handoff.metrics);
    // What is queued may still need a conflict agent.
    if (handoff.unmeasured === true) this.budget.ended(holderOf(task), 'unknown');
    else if (handoff.status !== 'complete' || !queued) this.budget.ended(holderOf(task));
    told(task, handoff, this.isDivision);
    News.handoff(this.state.news, task.spec.id, task.attempt, handoff);
    if (handoff.status === 'complete') {
      task.status = nextTaskStatus(task.status, 'complete');
      if (queued) task.branch = nextBranchState(task.branch, 'queued');
      else shrink(task);
      return;
    }
    task.status = nextTaskStatus(task.status, 'failed');
    if (handoff.commit !== undefined && task.child !== undefined) {
      task.ref = taskRef(this.limits.runId, task.child.workflowId);
    }
    if (handoff.status === 'blocked') {
      task.reason = handoff.summary;
      this.trouble(RUN_TEXT.blocked(task.spec.id));
      shrink(task);
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
        this.event(RUN_TEXT.landed(id, outcome.commit));
        break;
      case 'none':
        task.branch = nextBranchState(nextBranchState(task.branch, 'ejected'), 'none');
        this.event(RUN_TEXT.nothingLeft(id));
        break;
      case 'conflicted':
        task.branch = nextBranchState(task.branch, 'conflicted');
        task.ref = outcome.ref;
        task.reason = RUN_TEXT.conflicted(id, outcome.files);
        this.trouble(task.reason);
        break;
      case 'ejected':
        task.branch = nextBranchState(task.branch, 'ejected');
        task.ref = outcome.ref;
        task.reason = outcome.reason;
        if (outcome.refused) this.state.refused = outcome.reason;
        this.trouble(RUN_TEXT.ejected(id, outcome.reason));
        break;
    }
    shrink(task);
  }

  /** Its workflow ended without a word. */
  private lost(task: TaskRecord, reason: string, now: number): void {
    task.heardAt = now;
    this.budget.ended(holderOf(task), 'unknown');
    if (task.branch === 'queued') {
      task.branch = nextBranchState(task.branch, 'ejected');
      task.reason = RUN_TEXT.lostWhileQueued(reason);
      if (task.child !== undefined) task.ref = taskRef(this.limits.runId, task.child.workflowId);
      this.trouble(RUN_TEXT.ejected(task.spec.id, task.reason));
      shrink(task);
      return;
    }
    task.status = nextTaskStatus(task.status, 'failed');
    this.retryOrSettle(task, reason, undefined);
  }

  private retryOrSettle(task: TaskRecord, summary: string, commit: string | undefined): void {
    const { id } = task.spec;
    const tried = task.attempt - (task.taken ?? 0);
    if (tried >= this.limits.maxAttempts || this.state.closing !== undefined) return this.settleFailed(task, summary);
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

  private get isDivision(): boolean {
    return this.limits.id !== undefined && this.limits.id !== this.limits.runId;
  }

  private taskSpent(task: TaskRecord, metrics: AgentMetrics): void {
    this.budget.spent(holderOf(task), metrics);
    const { tokens = 0, costUsd = 0, durationMs = 0 } = task.used ?? {};
    task.used = {
      tokens: tokens + metrics.inputTokens + metrics.outputTokens,
      costUsd: costUsd + metrics.costUsd,
      durationMs: durationMs + metrics.durationMs,
    };
    this.spent(metrics);
  }

  private settleFailed(task: TaskRecord, reason: string): void {
    task.reason = reason;
    this.trouble(RUN_TEXT.failed(task.spec.id, task.attempt, reason));
    shrink(task);
  }

  private close(task: TaskRecord, reason: string): void {
    task.status = nextTaskStatus(task.status, 'cancelled');
    task.reason = reason;
    shrink(task);
  }

  private event(text: string): void {
    News.event(this.state.news, text);
  }

  private trouble(text: string): void {
    News.trouble(this.state.news, text);
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

  private find(id: string): TaskRecord {
    const task = this.state.tasks.find(({ spec }) => spec.id === id);
    if (task === undefined) throw terminal(FailureType.Invariant, `this run has no task "${id}"`);
    return task;
  }

  private dispatchTasks() {
    return this.state.tasks.map(({ spec, status, branch }) => ({ ...spec, status, branch }));
  }
}

/**
 * What is reported of a task's own handoff: of few subtasks all that their division hands up, of a run's tasks, which
 * may be hundreds, little.
 */
function told(task: TaskRecord, { concerns, suggestions, filesChanged, subtasks }: Handoff, whole: boolean): void {
  const most = whole ? { points: 5, chars: 300, paths: 2_000 } : { points: 1, chars: 80, paths: 0 };
  const points = (texts: string[]) => texts.slice(0, most.points).map((text) => text.slice(0, most.chars));
  task.told = {
    concerns: points(concerns),
    ...(whole ? { suggestions: points(suggestions), files: boundedPaths(filesChanged, most.paths) } : {}),
  };
  if (subtasks !== undefined) task.subtasks = subtasks.slice(0, MAX_SUBTASKS);
}

/** Who holds a task's reservation: each attempt has one of its own. */
const holderOf = ({ spec, attempt }: TaskRecord): string => `${spec.id}.${attempt}`;

/** A copy that shares nothing with the input (the workflow sandbox has no structuredClone). */
function structured(state: State): State {
  return JSON.parse(JSON.stringify(state)) as State;
}
