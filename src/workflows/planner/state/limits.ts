/** What a planner may use at once and how often it tries, as its run's settings and people say. Plain JSON. */
import type { Budget } from '../../../shared/contracts/budget.ts';

/** As its run begins. */
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

/** What people can change. */
export type ChangedLimits = { maxWorkers?: number | undefined; maxAttempts?: number | undefined };

export class PlannerLimits {
  private readonly settings: PlanningLimits;
  private changed: ChangedLimits;

  constructor(settings: PlanningLimits, changed: ChangedLimits = {}) {
    this.settings = settings;
    this.changed = changed;
  }

  /** As people have changed them; undefined where they have not. */
  toJSON(): ChangedLimits | undefined {
    return Object.keys(this.changed).length === 0 ? undefined : this.changed;
  }

  /** What the run's settings have become. */
  get tuned(): { maxWorkers: number; maxAttempts: number } {
    const { maxWorkers, maxAttempts } = this.settings;
    return { maxWorkers: this.changed.maxWorkers ?? maxWorkers, maxAttempts: this.changed.maxAttempts ?? maxAttempts };
  }

  get replanAfter(): number {
    return this.settings.replanAfter;
  }

  get runId(): string {
    return this.settings.runId;
  }

  /** Of this planner's own workflow. */
  get plannerId(): string {
    return this.settings.id ?? this.settings.runId;
  }

  /** Whether it works for another planner. */
  get isDivision(): boolean {
    return this.plannerId !== this.settings.runId;
  }

  change({ maxWorkers, maxAttempts }: ChangedLimits): void {
    this.changed = {
      ...this.changed,
      ...(maxWorkers === undefined ? {} : { maxWorkers }),
      ...(maxAttempts === undefined ? {} : { maxAttempts }),
    };
  }
}
