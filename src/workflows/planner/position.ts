/** Where in its run's tree a planner stands. */
import type { Budget } from '../../shared/contracts/budget.ts';
import type { RunContext, SpecSource } from '../../shared/contracts/run.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import type { Division } from './planning-round.ts';

export type Position = {
  context: RunContext;
  spec: SpecSource;
  /** From the root planner down to this one's parent. */
  above: Chain[];
  /** What it may spend, with all below it. */
  budget: Budget;
  /** What a subplanner divides. */
  division?: Division;
};

/** What the root knows only once it has prepared its run. */
export function defined<T>(value: T | undefined): T {
  if (value === undefined) throw terminal(FailureType.Invariant, 'the run is not prepared yet');
  return value;
}
