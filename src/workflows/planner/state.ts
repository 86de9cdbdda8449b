/** What a planner knows and decides: when it plans, beside all that it starts. No await; plain JSON. */
import type { PlanningNews } from '../../shared/contracts/activities.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import type { Plan } from '../../shared/contracts/plan.ts';
import type { SeenStuck } from '../../shared/contracts/stuck.ts';
import type { AgentMetrics, TaskSpec, Used } from '../../shared/contracts/task.ts';
import { isSettled } from '../../shared/decisions/dispatch.ts';
import { workDigest } from '../../shared/plan-rules.ts';
import { RUN_TEXT } from '../../shared/run-text.ts';
import { News, noNews } from './news.ts';
import { DispatchState } from './dispatch-state.ts';
import type { CarriedStuck } from './stuck.ts';
import type { CarriedSweeps } from './sweeps.ts';
import { markReplaced, newTask } from './tasks/records.ts';

export class PlannerState extends DispatchState {
  // Planning.

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

  /** With `held` nothing of it starts until a person has approved it; returns the name under which it waits. */
  applyPlan(plan: Plan, now: number, held = false): string | undefined {
    this.state.scratchpad = plan.scratchpad;
    this.state.done = plan.done;
    this.state.planned += 1;
    this.state.failuresInRow = 0;
    const name = held && plan.tasks.length > 0 ? `plan-${this.state.planned}` : undefined;
    markReplaced(this.state.tasks, plan.tasks);
    for (const spec of plan.tasks) {
      const task = newTask(spec, now, this.state.planned);
      this.state.tasks.push(name === undefined ? task : { ...task, held: name });
    }
    return name;
  }

  /** Counts a round of planning that gave no plan; returns how many there were in a row. */
  planningFailed(): number {
    this.state.failuresInRow += 1;
    return this.state.failuresInRow;
  }

  /** The share of a round of planning; null when too little is free for one, undefined where nothing is limited. */
  beginRound(): Budget | null | undefined {
    if (!this.budget.isLimited) return undefined;
    return this.budget.begin(this.isIdle);
  }

  /** A round found too little: the run ends, or waits for what others may give back. Returns whether it waits. */
  roundUnfunded(): boolean {
    if (this.isIdle) this.closeForBudget();
    return !this.isIdle;
  }

  /** What a round of planning has cost. */
  roundSpent(used: Used): void {
    this.budget.planned(used);
    this.spent(used.metrics);
  }

  // Sweeps.

  /** What is known of them; plain JSON that its caller may change. */
  sweeps(first: CarriedSweeps): CarriedSweeps {
    this.state.sweeps ??= first;
    return this.state.sweeps;
  }

  /** What is known of workflows that cannot go on; plain JSON that its caller may change. */
  stuck(): CarriedStuck {
    this.state.stuck ??= { seen: [], ended: [], lookedAt: 0 };
    return this.state.stuck;
  }

  get seenStuck(): readonly SeenStuck[] {
    return this.state.stuck?.seen ?? [];
  }

  /** The share of a sweep's search for fixes; null when too little is free, undefined where nothing is limited. */
  beginSweep(): Budget | null | undefined {
    return this.budget.isLimited ? this.budget.sweep() : undefined;
  }

  sweepEnded(metrics: AgentMetrics | 'unknown'): void {
    this.budget.swept(metrics);
    if (metrics !== 'unknown') this.spent(metrics);
  }

  /** Something that wants an answer of the planner's model. */
  sweepSaid(text: string): void {
    this.trouble(text);
  }

  /** Tasks that mend the branch: they start before all others. */
  addFixes(specs: readonly TaskSpec[], now: number): void {
    for (const spec of specs) {
      const digest = workDigest(spec.description);
      const common = { status: 'pending', branch: 'none', attempt: 1, heardAt: now, conflicts: 0 } as const;
      this.state.tasks.push({ ...common, spec, digest, fix: true });
      this.event(RUN_TEXT.fixAdded(spec.id, spec.description));
    }
  }

  /** There is nothing to plan: the run only mends what its sweeps find. */
  planNothing(): void {
    this.state.unplanned = true;
    this.state.done = true;
    this.state.planned = Math.max(1, this.state.planned);
  }

  /** Ends a run that has too little left for anything more, once nothing is under way that could free some. */
  closeWhenSpent(): void {
    if (this.state.closing !== undefined || !this.isIdle) return;
    if (!this.budget.isLimited || !this.budget.isSpent) return;
    this.closeForBudget();
  }

  private closeForBudget(): void {
    const { total, spent } = this.budget.seen;
    this.closeFor('budget', RUN_TEXT.budgetSpent(total, spent));
  }
}
