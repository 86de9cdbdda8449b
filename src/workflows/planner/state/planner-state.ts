/**
 * What a planner knows, by parts: each part is changed by its own methods, or by those that are given it here. No
 * await; plain JSON.
 */
import type { PlanningNews } from '../../../shared/contracts/activities.ts';
import type { Budget } from '../../../shared/contracts/budget.ts';
import type { Plan } from '../../../shared/contracts/plan.ts';
import type { AgentMetrics, TaskSpec } from '../../../shared/contracts/task.ts';
import { isActive, isSettled, type PlanningInput } from '../../../shared/planner/dispatch.ts';
import type { WorkersLent } from '../../../shared/planner/lending.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import { ApprovalDesk, type CarriedDesk } from './approvals.ts';
import { type CarriedBudget, PlannerBudget } from './budget.ts';
import { type CancelledChild, CancelledChildren } from './cancelled-children.ts';
import { Commands } from './commands.ts';
import { Dispatch } from './dispatch.ts';
import { type ChangedLimits, PlannerLimits, type PlanningLimits } from './limits.ts';
import { type CarriedNews, News } from './news.ts';
import { type CarriedProgress, PlanProgress } from './plan-progress.ts';
import { type CarriedStatus, type ClosedBy, RunStatus } from './run-status.ts';
import { type CarriedStuck, StuckRecord } from './stuck.ts';
import { type CarriedSweeps, SweepRecord } from './sweeps.ts';
import { TaskEvents } from './task-events.ts';
import type { PackedTask } from './task-packing.ts';
import { markReplaced, newTask, present, type TaskRecord } from './task-record.ts';
import { TaskTable } from './task-table.ts';

/** In characters of JSON; a planner carries its position and its conversation beside. */
const MAX_STATE_CHARS = 420_000;

/** The names on the wire, which older versions have written too. */
export type CarriedPlanner = CarriedProgress &
  CarriedStatus & {
    tasks: PackedTask[];
    retries: number;
    conflicts: number;
    peak: number;
    metrics: AgentMetrics;
    budget?: CarriedBudget;
    news: CarriedNews;
    /** Of a division. */
    workers?: WorkersLent;
    /** As people have changed them. */
    limits?: ChangedLimits;
    /** Of the root. */
    approvals?: CarriedDesk;
    winding?: readonly CancelledChild[];
    /** Of the root. */
    sweeps?: CarriedSweeps;
    /** Of the root. */
    stuck?: CarriedStuck;
  };

export class PlannerState {
  readonly limits: PlannerLimits;
  readonly status: RunStatus;
  readonly plan: PlanProgress;
  readonly news: News;
  readonly budget: PlannerBudget;
  readonly table: TaskTable;
  readonly cancelled: CancelledChildren;
  readonly approvals: ApprovalDesk;
  readonly sweeps: SweepRecord;
  readonly stuck: StuckRecord;
  readonly events: TaskEvents;
  readonly commands: Commands;
  readonly dispatch: Dispatch;

  /** @param carried by this version or an older one */
  constructor(settings: PlanningLimits, carried?: unknown) {
    const from = carried === undefined ? undefined : copy(carried as CarriedPlanner);
    this.limits = new PlannerLimits(settings, from?.limits);
    this.status = new RunStatus(from);
    this.plan = new PlanProgress(from);
    this.news = new News(from?.news);
    const { budget: total = {}, maxOutputTokens = 0 } = settings;
    this.budget = new PlannerBudget({ total, maxOutputTokens, news: this.news }, from?.budget, from?.metrics);
    this.table = new TaskTable(from?.tasks, from);
    this.cancelled = new CancelledChildren({ tasks: this.table, budget: this.budget }, from?.winding);
    this.approvals = new ApprovalDesk(from?.approvals);
    this.stuck = new StuckRecord(from?.stuck);
    const { table: tasks, budget, news, status, limits, plan, cancelled, stuck } = this;
    this.sweeps = new SweepRecord({ tasks, budget, news, status }, from?.sweeps);
    this.events = new TaskEvents({ tasks, budget, news, status, limits, cancelled, stuck });
    this.commands = new Commands({ tasks, budget, news, status, limits, cancelled, plan });
    this.dispatch = new Dispatch({ tasks, budget, news, status, limits }, from?.workers);
  }

  /** What is carried on: tasks that have ended take what the rest leaves. */
  toJSON(): CarriedPlanner {
    const asked = this.approvals.toJSON();
    const others = present({
      ...this.plan.toJSON(),
      ...this.status.toJSON(),
      ...this.table.totals,
      metrics: this.budget.metrics,
      budget: this.budget.toJSON(),
      news: this.news.toJSON(),
      workers: this.dispatch.toJSON(),
      limits: this.limits.toJSON(),
      approvals: asked.waiting.length + asked.verdicts.length > 0 ? asked : undefined,
      winding: this.cancelled.toJSON(),
      sweeps: this.sweeps.toJSON(),
      stuck: this.stuck.toJSON(),
    });
    return { ...others, tasks: this.table.pack(MAX_STATE_CHARS - JSON.stringify(others).length) };
  }

  get tasks(): readonly TaskRecord[] {
    return this.table.records;
  }

  planningInput(): PlanningInput {
    const { tasks } = this;
    const { handoffs, troubles, steering } = this.news.counts;
    const input = {
      planned: this.plan.rounds,
      done: this.plan.isDone,
      active: tasks.filter(isActive).length,
      pending: tasks.filter((task) => task.status === 'pending').length,
      queued: tasks.filter((task) => task.branch === 'queued').length,
      maxWorkers: this.limits.tuned.maxWorkers,
      newHandoffs: handoffs,
      newTroubles: troubles,
      steering,
      replanAfter: this.limits.replanAfter,
    };
    return this.plan.isUnplanned ? { ...input, newHandoffs: 0, newTroubles: 0, steering: 0 } : input;
  }

  /** Whether nothing is under way that holds a part of the budget. */
  private get isIdle(): boolean {
    const { active, queued } = this.planningInput();
    return active + queued + this.cancelled.chains.length === 0;
  }

  /** What the planner's model has not seen; it is taken out, and given back to `news` when planning failed. */
  takeNews(): PlanningNews & CarriedNews {
    const open = this.tasks
      .filter((task) => !isSettled(task))
      .map(({ spec, status, branch }) => ({
        id: spec.id,
        status: branch === 'queued' ? 'waiting to land' : status,
        scope: spec.scope,
      }));
    return { ...this.news.take(), open };
  }

  /** What the tasks that are not settled were asked to do: it is carried along until they are. */
  openSpecs(): TaskSpec[] {
    return this.tasks.flatMap((task) => (isSettled(task) ? [] : [task.spec]));
  }

  /**
   * Takes the tasks of a plan.
   * @param needsApproval nothing of it starts until a person has approved it
   * @returns the name under which it waits for that
   */
  applyPlan(plan: Plan, now: number, needsApproval = false): string | undefined {
    const name = this.plan.add(plan);
    const unapprovedPlan = needsApproval && plan.tasks.length > 0 ? name : undefined;
    markReplaced(this.tasks, plan.tasks);
    for (const spec of plan.tasks) {
      const task = newTask(spec, now);
      if (unapprovedPlan !== undefined) task.attempt.unapprovedPlan = unapprovedPlan;
      this.table.add(task);
    }
    return unapprovedPlan;
  }

  /** The share of a round of planning; null when too little is free for one, undefined where nothing is limited. */
  beginRound(): Budget | null | undefined {
    return this.budget.beginRound(this.isIdle);
  }

  /** A round found too little: the run ends, or waits for what others may give back. Returns whether it waits. */
  roundUnfunded(): boolean {
    if (this.isIdle) this.closeForBudget();
    return !this.isIdle;
  }

  /** Nothing more is begun; what is under way ends. @param until it may go on, in ms since the epoch. */
  closeFor(by: ClosedBy, reason: string, until?: number): void {
    this.status.close(by, reason, until);
    this.table.cancelPending(reason);
  }

  /** Ends a run that has too little left for anything more, once nothing is under way that could free some. */
  closeWhenSpent(): void {
    if (this.status.closing !== undefined || !this.isIdle) return;
    if (this.budget.isLimited && this.budget.isSpent) this.closeForBudget();
  }

  private closeForBudget(): void {
    const { total, spent } = this.budget.seen;
    this.closeFor('budget', RUN_TEXT.budgetSpent(total, spent));
  }
}

/** A copy that shares nothing with the input (the workflow sandbox has no structuredClone). */
function copy(state: CarriedPlanner): CarriedPlanner {
  return JSON.parse(JSON.stringify(state)) as CarriedPlanner;
}
