/** Sweeps: the checks of the target's tip, and what is to be done about what they show. */
import { z } from 'zod';
import { Chain, CommitSha, TaskId } from '../base/ids.ts';
import { Budget } from './budget.ts';
import { CheckError, TestCounts } from './checks.ts';
import { RunContext } from './run.ts';
import { AgentMetrics, TaskSpec } from './task.ts';

/** An error that fix tasks were made for, until a sweep no longer shows it. */
export const FiledError = z.object({
  signature: z.string(),
  tasks: z.array(TaskId),
  escalated: z.boolean().optional(),
});
export type FiledError = z.infer<typeof FiledError>;

/** What one sweep tells the next: plain JSON, carried by the planner. */
export const SweepMemory = z.object({
  /** How many sweeps there were. */
  number: z.number().int().nonnegative(),
  intervalMs: z.number().positive(),
  /** Green ones in a row, since the interval last grew. */
  greens: z.number().int().nonnegative(),
  filed: z.array(FiledError),
  /** Digests of what the base of the run fails with already, where that is not the run's to mend. */
  inherited: z.array(z.string()).optional(),
  /** The merge queue was told to let only fixes land. */
  frozen: z.boolean().optional(),
  /** The newest commit that passed, and how many tests each of its checks ran. */
  green: z.object({ commit: CommitSha, tests: z.record(z.string(), TestCounts) }).optional(),
});
export type SweepMemory = z.infer<typeof SweepMemory>;

/** Arguments of the closing tool `submit_fixes`. */
export const Fixes = z.object({
  tasks: z
    .array(
      TaskSpec.extend({
        /** Which of the numbered errors it mends. */
        errors: z.array(z.number().int().positive()).max(200).optional(),
      }),
    )
    .max(5, 'at most 5 fix tasks: group the errors by their cause'),
});
export type Fixes = z.infer<typeof Fixes>;

/** What became of a fix task, for whoever tries again. */
export const TriedFix = z.object({ id: TaskId, open: z.boolean(), outcome: z.string() });
export type TriedFix = z.infer<typeof TriedFix>;

/** Input of the `reconciler` workflow: one sweep. */
export const ReconcilerInput = z.object({
  run: RunContext,
  /** Who gets the result. */
  parent: Chain,
  ancestors: z.array(Chain).min(1),
  memory: SweepMemory,
  /** The fix tasks so far. */
  tried: z.array(TriedFix),
  /** Ids of tasks, which no fix task may have. */
  taken: z.array(TaskId),
  /** Whether fix tasks are wanted, and what finding them out may cost. */
  fix: z.boolean(),
  budget: Budget.optional(),
  /** Whether what failed before the run began is to be mended too. */
  all: z.boolean(),
});
export type ReconcilerInput = z.infer<typeof ReconcilerInput>;

export const SweepResult = z.object({
  /** `unknown`: the checks could not be run. `none`: there are none. `stale`: red, but the branch moved on each time. */
  verdict: z.enum(['green', 'red', 'unknown', 'none', 'stale']),
  commit: CommitSha.optional(),
  /** Of a red one: all that fails failed before the run began, and is not the run's to mend. */
  inherited: z.boolean().optional(),
  /** What failed, or why nothing could be said, in words. */
  reason: z.string().optional(),
  /** The first ones. */
  errors: z.array(CheckError),
  fixes: z.array(TaskSpec),
  /** Errors that stay after their fixes, with what was tried. */
  escalated: z.array(z.object({ error: CheckError, tried: z.array(TaskId) })),
  /** What a person should look at: fewer tests than before. */
  warnings: z.array(z.string()),
  memory: SweepMemory,
  metrics: AgentMetrics,
});
export type SweepResult = z.infer<typeof SweepResult>;

/** Signal `swept`, from the reconciler to its planner. */
export const SweptMessage = z.object({ id: z.string(), sender: Chain, result: SweepResult });
export type SweptMessage = z.infer<typeof SweptMessage>;
