/** What a planner's model has planned so far, and what people have said about it. No await; plain JSON. */
import type { Plan, Scratchpad } from '../../../shared/contracts/plan.ts';

const MAX_GUIDANCE = 10;

export type CarriedProgress = {
  scratchpad: Scratchpad;
  /** All that the spec asks for is planned. */
  done: boolean;
  /** Rounds that gave a plan. */
  planned: number;
  failuresInRow: number;
  guidance: string[];
  /** There is nothing to plan: the run only mends what its sweeps find. */
  unplanned?: boolean;
};

const NOTHING: CarriedProgress = {
  scratchpad: { goals: '', state: '', reasoning: '', intelligence: '' },
  done: false,
  planned: 0,
  failuresInRow: 0,
  guidance: [],
};

export class PlanProgress {
  private readonly carried: CarriedProgress;

  constructor(carried: CarriedProgress = NOTHING) {
    const { scratchpad, done, planned, failuresInRow, guidance, unplanned } = carried;
    this.carried = { scratchpad, done, planned, failuresInRow, guidance, unplanned };
  }

  toJSON(): CarriedProgress {
    return this.carried;
  }

  get scratchpad(): Scratchpad {
    return this.carried.scratchpad;
  }

  get isDone(): boolean {
    return this.carried.done;
  }

  get rounds(): number {
    return this.carried.planned;
  }

  /** What people have said that tasks are told too. */
  get guidance(): readonly string[] {
    return this.carried.guidance;
  }

  get isUnplanned(): boolean {
    return this.carried.unplanned === true;
  }

  /** A round has given this plan. Returns the plan's name. */
  add({ scratchpad, done }: Plan): string {
    Object.assign(this.carried, { scratchpad, done, failuresInRow: 0 });
    this.carried.planned += 1;
    return `plan-${this.carried.planned}`;
  }

  /** Counts a round of planning that gave no plan; returns how many there were in a row. */
  failed(): number {
    this.carried.failuresInRow += 1;
    return this.carried.failuresInRow;
  }

  forgetFailures(): void {
    this.carried.failuresInRow = 0;
  }

  guide(text: string): void {
    this.carried.guidance = [...this.carried.guidance, text].slice(-MAX_GUIDANCE);
  }

  /** There is nothing to plan: the run only mends what its sweeps find. */
  planNothing(): void {
    Object.assign(this.carried, { unplanned: true, done: true, planned: Math.max(1, this.carried.planned) });
  }
}
