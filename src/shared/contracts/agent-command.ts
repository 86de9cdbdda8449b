/** An external coding agent, run headless in a task's sandbox: request and result of the activity `runCommand`. */
import { z } from 'zod';
import { Chain } from '../base/ids.ts';
import { Budget } from './budget.ts';
import { Limits, Role, SandboxRef } from './agent.ts';
import { AgentMetrics } from './task.ts';

export const CommandRequest = z.object({
  sandbox: SandboxRef,
  role: Role,
  argv: z.array(z.string()).min(1),
  /** What it is to do: on its standard input, and in the file that AGENTSWARM_TASK_FILE names. */
  task: z.string(),
  limits: Limits,
  /** Of `limits.minutes`, when this request was made: earlier programs of the same agent took their part. */
  minutesLeft: z.number().positive(),
  /** Its share of the run's budget, over its whole life. */
  budget: Budget.optional(),
  /** What it has used before. */
  used: AgentMetrics,
  maxOutputTokens: z.number().int().positive(),
  agent: Chain,
  /** From the root planner down: no call is made when one of them no longer runs. */
  ancestors: z.array(Chain),
});
export type CommandRequest = z.infer<typeof CommandRequest>;

export const CommandResult = z.object({
  /** null: it was stopped. */
  exitCode: z.number().int().nullable(),
  /** The end of what it wrote to its terminal. */
  output: z.string(),
  /** Calls of this program that a model answered. Absent: recorded by a version that did not count them. */
  answered: z.number().int().nonnegative().optional(),
  /** The newest answer of a model to it that says something. */
  said: z.string().optional(),
  /** Why its last call has no answer, as a sentence. */
  unanswered: z.string().optional(),
  /** What the sandbox refused it and which of its limits were met, as sentences. */
  notes: z.array(z.string()).optional(),
  /** All of its calls, `used` included. */
  metrics: AgentMetrics,
  /** Ids of what people said to it that it was told. */
  told: z.array(z.string()),
  /** Which limit it has met, as a sentence. */
  reached: z.string().optional(),
});
export type CommandResult = z.infer<typeof CommandResult>;
