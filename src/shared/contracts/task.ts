/** What a planner asks of a task, and what a task gives back. */
import { z } from 'zod';
import { Chain, CommitSha, TaskId } from '../base/ids.ts';
import { Budget } from './budget.ts';
import { Conflict } from './conflict.ts';
import { HeldWork, Release } from './held.ts';
import { RunContext, SpecSource, TaskReport } from './run.ts';

export const AcceptanceCriterion = z.object({
  text: z.string().min(1).max(2_000),
  /** A shell command that exits 0 in the sandbox when the criterion is met. */
  command: z.string().min(1).max(2_000).optional(),
});
export type AcceptanceCriterion = z.infer<typeof AcceptanceCriterion>;

/** A path in the repository; one that ends in `/` is a folder. No globs, nothing absolute, no `..`. */
export const ScopePath = z
  .string()
  .min(1)
  .max(500)
  .refine(
    (path) =>
      !path.startsWith('/') && !/[*?[\]\\\0\n]/.test(path) && !path.split('/').some((p) => p === '..' || p === '.git'),
    'a scope path is relative to the repository, without "..", ".git" and globs',
  );

export const TaskSpec = z.object({
  id: TaskId,
  description: z.string().min(1).max(20_000),
  scope: z.array(ScopePath).max(100).default([]),
  acceptance: z.array(AcceptanceCriterion).max(30).default([]),
  /** 1 is first, 10 is last. */
  priority: z.number().int().min(1).max(10).default(5),
  dependsOn: z.array(TaskId).max(50).default([]),
  /** It is to remove or weaken tests or checks, so that work which does is not held. */
  weakensTests: z.boolean().optional(),
  /** Whether a subplanner divides it; by its scope where that is not said. */
  divide: z.boolean().optional(),
  /** Tasks that did not land and whose work this one does anew. */
  replaces: z.array(TaskId).max(20).optional(),
});
export type TaskSpec = z.infer<typeof TaskSpec>;

export const HANDOFF_STATUSES = ['complete', 'partial', 'blocked', 'failed'] as const;
export const HandoffStatus = z.enum(HANDOFF_STATUSES);
export type HandoffStatus = z.infer<typeof HandoffStatus>;

/** Sums over all calls of an agent, measured by the host. Money in US dollars, time in milliseconds. */
export const AgentMetrics = z.object({
  turns: z.number().int().nonnegative(),
  toolCalls: z.number().int().nonnegative(),
  inputTokens: z.number().int().nonnegative(),
  cachedInputTokens: z.number().int().nonnegative(),
  outputTokens: z.number().int().nonnegative(),
  costUsd: z.number().nonnegative(),
  durationMs: z.number().nonnegative(),
});
export type AgentMetrics = z.infer<typeof AgentMetrics>;

export const NO_METRICS: AgentMetrics = {
  turns: 0,
  toolCalls: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  costUsd: 0,
  durationMs: 0,
};

export function addMetrics(a: AgentMetrics, b: AgentMetrics): AgentMetrics {
  return {
    turns: a.turns + b.turns,
    toolCalls: a.toolCalls + b.toolCalls,
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    costUsd: a.costUsd + b.costUsd,
    durationMs: a.durationMs + b.durationMs,
  };
}

/**
 * What agents have used: as measured, and what they may have used besides, at most (a call that was cut off, an agent
 * that was lost). What `estimated` leaves out of tokens and dollars is not known.
 */
export const Used = z.object({ metrics: AgentMetrics, estimated: Budget.optional() });
export type Used = z.infer<typeof Used>;

/** What one acceptance criterion or check of the repository showed when the host ran it; not an agent's claim. */
export const CheckResult = z.object({
  name: z.string(),
  command: z.string().optional(),
  /** `unchecked`: a criterion that has no command. */
  status: z.enum(['passed', 'failed', 'unchecked']),
  /** The end of what a failing command wrote. */
  output: z.string().optional(),
});
export type CheckResult = z.infer<typeof CheckResult>;

export const Handoff = z.object({
  status: HandoffStatus,
  summary: z.string(),
  concerns: z.array(z.string()),
  suggestions: z.array(z.string()),
  /** Measured from git, not claimed by the agent. The first ones where there are very many. */
  filesChanged: z.array(z.string()),
  metrics: AgentMetrics,
  /** Absent where none was run: the agent did not say that it is complete. */
  checks: z.array(CheckResult).optional(),
  /** The task's work as the host committed it; absent when nothing was changed. */
  commit: CommitSha.optional(),
  /** Of a division: what became of its subtasks. */
  subtasks: z.array(TaskReport).optional(),
  /** As in Used. */
  estimated: Budget.optional(),
  /** Of earlier versions: nothing is known of what an agent used. */
  unmeasured: z.boolean().optional(),
  /** The work is complete, and a guard holds it (status `blocked`), or a person has released it (`complete`). */
  held: HeldWork.optional(),
});
export type Handoff = z.infer<typeof Handoff>;

/** Input of the `task` workflow. */
export const TaskInput = z.object({
  run: RunContext,
  task: TaskSpec,
  attempt: z.number().int().min(1),
  /** Who started this task and gets its messages. */
  parent: Chain,
  /** From the root planner down to the parent; an agent stops when one of them no longer runs. */
  ancestors: z.array(Chain).min(1),
  /** Where a retry starts: the commit of the failed attempt and what it handed off. */
  previous: z
    .object({
      commit: CommitSha.optional(),
      /** Where the remote has the commit. */
      ref: z.string().optional(),
      summary: z.string(),
    })
    .optional(),
  /** What people told this run while it went on, oldest first. */
  guidance: z.array(z.string()).default([]),
  /** Its share of the run's budget, conflict agents and subtasks included. */
  budget: Budget.optional(),
  /** It mends the branch, and may land while that is red. */
  fix: z.boolean().optional(),
  /** No agent works: work of an earlier attempt that was held is landed as it is. */
  release: Release.optional(),
  /** Of the run; given to a subplanner. */
  spec: SpecSource.optional(),
});
export type TaskInput = z.infer<typeof TaskInput>;

/** What became of a task's branch, as the task tells its parent. */
export const BranchOutcome = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('none') }),
  /** `warning`: what the landing took away of others' work, or of what tests and checks had asserted. */
  z.object({ kind: z.literal('landed'), commit: CommitSha, warning: z.string().optional() }),
  z.object({
    kind: z.literal('conflicted'),
    files: z.array(z.string()),
    conflicts: z.array(Conflict).optional(),
    /** How many further files are not named. */
    more: z.number().int().positive().optional(),
    ref: z.string(),
  }),
  z.object({
    kind: z.literal('ejected'),
    reason: z.string(),
    ref: z.string(),
    /** By the remote, so that nothing else would land either. */
    refused: z.boolean(),
    /** It may as well be for what is in this change only. */
    doubtful: z.boolean().optional(),
    /** By the guard; a person can release it. */
    held: HeldWork.optional(),
  }),
]);
export type BranchOutcome = z.infer<typeof BranchOutcome>;

/** Result of the `task` workflow. */
export const TaskResult = z.object({
  handoff: Handoff,
  outcome: BranchOutcome,
  conflictMetrics: AgentMetrics,
  /** Besides these, as in Used. */
  conflictEstimated: Budget.optional(),
  /** Tries of conflict agents. Not in results of earlier versions. */
  conflicts: z.number().int().nonnegative().optional(),
  /** Of a subplanner that found nothing to divide: the task is to be done by one agent. */
  direct: z.boolean().optional(),
});
export type TaskResult = z.infer<typeof TaskResult>;

/** Signal `handoff`, from a task to its parent: the agent has ended; the branch's fate follows. */
export const HandoffMessage = z.object({
  id: z.string(),
  sender: Chain,
  taskId: TaskId,
  attempt: z.number().int().min(1),
  handoff: Handoff,
  /** Whether a branch was queued, so that an `outcome` follows. */
  queued: z.boolean(),
  /** As in TaskResult. */
  direct: z.boolean().optional(),
});
export type HandoffMessage = z.infer<typeof HandoffMessage>;

/** Signal `outcome`, from a task to its parent: what became of its branch. The last message of a task. */
export const OutcomeMessage = z.object({
  id: z.string(),
  sender: Chain,
  taskId: TaskId,
  attempt: z.number().int().min(1),
  outcome: BranchOutcome,
  /** What the conflict agents of this task used, apart from the handoff's metrics. */
  conflictMetrics: AgentMetrics,
  /** Besides these, as in Used. */
  conflictEstimated: Budget.optional(),
  conflicts: z.number().int().nonnegative(),
});
export type OutcomeMessage = z.infer<typeof OutcomeMessage>;
