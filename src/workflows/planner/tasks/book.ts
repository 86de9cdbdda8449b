/**
 * A planner's tasks, with what they cost and what its model has not been told of them: what all that changes them
 * stands on. No await; the whole state is plain JSON. Invariants:
 * 1. Every change of a status goes through the state machines.
 * 2. A settled task shrinks to what the report needs.
 */
import type { Budget, Spent } from '../../../shared/contracts/budget.ts';
import type { Scratchpad } from '../../../shared/contracts/plan.ts';
import { addMetrics, type AgentMetrics, NO_METRICS, type Used } from '../../../shared/contracts/task.ts';
import { reduced, spentOf } from '../../../shared/decisions/budget.ts';
import { isActive, isDone, type PlanningInput } from '../../../shared/decisions/dispatch.ts';
import type { WorkersLent } from '../../../shared/decisions/workers.ts';
import { FailureType, terminal } from '../../../shared/failures.ts';
import type { Chain } from '../../../shared/ids.ts';
import { RUN_TEXT } from '../../../shared/run-text.ts';
import { nextTaskStatus } from '../../../shared/task-machine.ts';
import { ApprovalDesk, type CarriedDesk } from '../approval-desk.ts';
import { type CarriedBudget, PlannerBudget } from '../budget.ts';
import { News, noNews } from '../news.ts';
import type { CarriedStuck } from '../stuck.ts';
import type { CarriedSweeps } from '../sweeps.ts';
import { type PackedTask, packTasks, unpackTasks } from './packing.ts';
import { shrink, type TaskRecord } from './records.ts';

/** `person`: what is under way goes on to its end. `cancel`: it hands off what there is. */
type ClosedBy = 'budget' | 'planning' | 'person' | 'cancel';

/** What is kept of the tasks that can be tried again, in characters of JSON. */
const MAX_WHOLE_CHARS = 60_000;

/** Sums of dollars are not exact. */
const INEXACT_USD = 1e-6;

/** In characters of JSON; a planner carries its place and its conversation beside. */
const MAX_STATE_CHARS = 420_000;

/** A task's workflow that was cancelled; `holds` until it has said what it used, or, by its handoff, a part of it. */
/** `since`: when it was first looked after, in ms since the epoch. */
export type Winding = Chain & {
  since?: number;
  holds?: { holder: string; task: string; said?: 'handoff' | 'outcome' };
};

export type Paused = { since: number; reason: string };

export type PlanningState = {
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
  closing?: { by: ClosedBy; reason: string; until?: number };
  /** Of a division: what its planner above has lent it. */
  workers?: WorkersLent;
  /** As people have changed them. */
  limits?: { maxWorkers?: number; maxAttempts?: number };
  /** Of the root. */
  approvals?: CarriedDesk;
  /** Workflows of tasks that were cancelled and have not ended yet. */
  winding?: Winding[];
  /** Of the root. */
  sweeps?: CarriedSweeps;
  /** Of the root. */
  stuck?: CarriedStuck;
  /** There is nothing to plan: the run only mends what its sweeps find. */
  unplanned?: boolean;
  /** How many refusals in a row may have been for one change each: hooks need not say what they look at. */
  doubtful?: number;
  /** Set when the remote refuses pushes: nothing more is started, and the run ends with this reason. */
  refused?: string;
};

const NOTHING: PlanningState = {
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

export type PlanningLimits = {
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

type CarriedTasks = Omit<PlanningState, 'tasks'> & { tasks: PackedTask[] };

export class TaskBook {
  protected readonly state: PlanningState;
  protected readonly limits: PlanningLimits;
  protected readonly budget: PlannerBudget;
  readonly desk: ApprovalDesk;

  constructor(limits: PlanningLimits, carried?: unknown) {
    const { tasks, ...others } = structured((carried ?? NOTHING) as CarriedTasks);
    this.state = { ...others, tasks: unpackTasks(tasks) };
    this.limits = { ...limits, ...this.state.limits };
    this.desk = new ApprovalDesk(this.state.approvals);
    this.budget = new PlannerBudget(limits.budget ?? {}, limits.maxOutputTokens ?? 0, this.state.budget);
  }

  /** What is carried on: tasks that have ended take what the rest leaves. */
  toJSON(): CarriedTasks {
    const approvals = this.desk.toJSON();
    const asked = approvals.waiting.length + approvals.verdicts.length > 0;
    const { tasks, ...others } = { ...this.state, budget: this.budget.toJSON(), ...(asked ? { approvals } : {}) };
    return { ...others, tasks: packTasks(tasks, MAX_STATE_CHARS - JSON.stringify(others).length) };
  }

  get closing(): PlanningState['closing'] {
    return this.state.closing;
  }
  /** The total and what of it is spent; undefined where nothing is limited. */
  get budgetSeen(): { total: Budget; spent: Spent } | undefined {
    return this.budget.isLimited ? this.budget.seen : undefined;
  }

  /** What may have been spent besides what was measured, at most. */
  get estimated(): Budget | undefined {
    const besides = reduced(this.budget.seen.spent, spentOf(this.state.metrics));
    const { tokens = 0, usd = 0 } = besides;
    return tokens > 0 || usd > INEXACT_USD ? besides : undefined;
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

  planningInput(): PlanningInput {
    const { tasks, done, planned, news, unplanned } = this.state;
    const input = {
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
    return unplanned === true ? { ...input, newHandoffs: 0, newTroubles: 0, steering: 0 } : input;
  }

  /** Whether nothing is under way that holds a part of the budget. */
  protected get isIdle(): boolean {
    const { active, queued } = this.planningInput();
    return active + queued + (this.state.winding?.length ?? 0) === 0;
  }

  totals(): Pick<PlanningState, 'planned' | 'retries' | 'conflicts' | 'peak' | 'done'> {
    const { planned, retries, conflicts, peak, done } = this.state;
    return { planned, retries, conflicts, peak, done };
  }

  /** Nothing more is begun; what is under way ends. @param until it may go on, in ms since the epoch. */
  closeFor(by: ClosedBy, reason: string, until?: number): void {
    this.state.closing = { by, reason, ...(until === undefined ? {} : { until }) };
    for (const task of this.state.tasks) if (task.status === 'pending') this.close(task, reason);
  }

  protected spent(metrics: AgentMetrics): void {
    this.state.metrics = addMetrics(this.state.metrics, metrics);
    if (!this.budget.warns()) return;
    const { total, spent } = this.budget.seen;
    this.trouble(RUN_TEXT.budgetNear(total, spent));
  }

  protected taskSpent(task: TaskRecord, used: Used, holder = holderOf(task)): void {
    const { metrics } = used;
    this.budget.spent(holder, used);
    const { tokens = 0, costUsd = 0, durationMs = 0 } = task.used ?? {};
    task.used = {
      tokens: tokens + metrics.inputTokens + metrics.outputTokens,
      costUsd: costUsd + metrics.costUsd,
      durationMs: durationMs + metrics.durationMs,
    };
    this.spent(metrics);
  }

  protected settleFailed(task: TaskRecord, reason: string): void {
    task.reason = reason;
    if (task.givenUp === undefined) this.trouble(RUN_TEXT.failed(task.spec.id, task.attempt, reason));
    else this.event(RUN_TEXT.cancelledTask(task.spec.id, task.givenUp.reason));
    this.settle(task);
  }

  protected close(task: TaskRecord, reason: string): void {
    task.status = nextTaskStatus(task.status, 'cancelled');
    task.reason = reason;
    this.settle(task);
  }

  /** Nothing more happens to it by itself: it shrinks, and where it did not land it can be tried again. */
  protected settle(task: TaskRecord): void {
    if (isDone(task)) {
      delete task.left;
      delete task.whole;
    } else {
      task.lostIn = this.state.planned;
      task.whole = task.spec;
      this.forgetOldest();
    }
    shrink(task);
  }

  private forgetOldest(): void {
    const kept = this.state.tasks.filter(({ whole }) => whole !== undefined);
    let chars = kept.reduce((sum, { whole }) => sum + JSON.stringify(whole).length, 0);
    for (const task of kept) {
      if (chars <= MAX_WHOLE_CHARS) return;
      chars -= JSON.stringify(task.whole).length;
      delete task.whole;
    }
  }

  protected event(text: string): void {
    News.event(this.state.news, text);
  }

  protected trouble(text: string): void {
    News.trouble(this.state.news, text);
  }

  protected find(id: string): TaskRecord {
    const task = this.state.tasks.find(({ spec }) => spec.id === id);
    if (task === undefined) throw terminal(FailureType.Invariant, `this run has no task "${id}"`);
    return task;
  }
}

/** Who holds a task's reservation: each attempt has one of its own. */
export const holderOf = ({ spec, attempt }: TaskRecord): string => `${spec.id}.${attempt}`;

/** A copy that shares nothing with the input (the workflow sandbox has no structuredClone). */
function structured(state: CarriedTasks): CarriedTasks {
  return JSON.parse(JSON.stringify(state)) as CarriedTasks;
}
