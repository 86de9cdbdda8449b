/**
 * A planner's tasks, with what they cost and what its model has not been told of them: what all that changes them
 * stands on. No await; the whole state is plain JSON. Invariants:
 * 1. Every change of a status goes through the state machines.
 * 2. A settled task shrinks to what the report needs.
 */
import type { Budget, Spent } from '../shared/contracts/budget.ts';
import type { Scratchpad } from '../shared/contracts/plan.ts';
import { addMetrics, type AgentMetrics, NO_METRICS } from '../shared/contracts/task.ts';
import { isActive, type PlanningInput } from '../shared/decisions/dispatch.ts';
import { FailureType, terminal } from '../shared/failures.ts';
import type { Chain } from '../shared/ids.ts';
import { RUN_TEXT } from '../shared/run-text.ts';
import { nextTaskStatus } from '../shared/task-machine.ts';
import { type CarriedBudget, PlannerBudget } from './planner-budget.ts';
import { News, noNews } from './planner-news.ts';
import type { CarriedSweeps } from './planner-sweeps.ts';
import { type PackedTask, packTasks, unpackTasks } from './task-packing.ts';
import { shrink, type TaskRecord } from './task-records.ts';

/** In characters of JSON; a planner carries its place and its conversation beside. */
const MAX_STATE_CHARS = 420_000;

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
  closing?: { by: 'budget' | 'planning' | 'person'; reason: string };
  /** Workflows of tasks that were cancelled and have not ended yet. */
  winding?: Chain[];
  /** Of the root. */
  sweeps?: CarriedSweeps;
  /** There is nothing to plan: the run only mends what its sweeps find. */
  unplanned?: boolean;
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

  constructor(limits: PlanningLimits, carried?: unknown) {
    this.limits = limits;
    const { tasks, ...others } = structured((carried ?? NOTHING) as CarriedTasks);
    this.state = { ...others, tasks: unpackTasks(tasks) };
    this.budget = new PlannerBudget(limits.budget ?? {}, limits.maxOutputTokens ?? 0, this.state.budget);
  }

  /** What is carried on: tasks that have ended take what the rest leaves. */
  toJSON(): CarriedTasks {
    const { tasks, ...others } = { ...this.state, budget: this.budget.toJSON() };
    return { ...others, tasks: packTasks(tasks, MAX_STATE_CHARS - JSON.stringify(others).length) };
  }

  get closing(): PlanningState['closing'] {
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

  totals(): Pick<PlanningState, 'planned' | 'retries' | 'conflicts' | 'peak' | 'done'> {
    const { planned, retries, conflicts, peak, done } = this.state;
    return { planned, retries, conflicts, peak, done };
  }

  protected spent(metrics: AgentMetrics): void {
    this.state.metrics = addMetrics(this.state.metrics, metrics);
    if (!this.budget.warns()) return;
    const { total, spent } = this.budget.seen;
    this.trouble(RUN_TEXT.budgetNear(total, spent));
  }

  protected taskSpent(task: TaskRecord, metrics: AgentMetrics): void {
    this.budget.spent(holderOf(task), metrics);
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
    this.trouble(RUN_TEXT.failed(task.spec.id, task.attempt, reason));
    shrink(task);
  }

  protected close(task: TaskRecord, reason: string): void {
    task.status = nextTaskStatus(task.status, 'cancelled');
    task.reason = reason;
    shrink(task);
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
