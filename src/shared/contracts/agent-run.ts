/** Input and result of the `agent` workflow: the agent loop of one task, as the task's child. */
import { z } from 'zod';
import { Chain, CommitSha } from '../base/ids.ts';
import { AgentHandoff, Checkpoint, Message, SandboxRef } from './agent.ts';
import { Budget } from './budget.ts';
import { Conflict } from './conflict.ts';
import { RunContext } from './run.ts';
import { AgentMetrics, CheckResult, Handoff, TaskSpec, Used } from './task.ts';

/** What the agent is there for, and what its first messages are made from. */
export const AgentBrief = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('worker'),
    attempt: z.number().int().min(1),
    /** `workLost`: the commit of the attempt before is nowhere any more; the work tree is the branch as it is. */
    previous: z.object({ summary: z.string(), workLost: z.boolean().optional() }).optional(),
    guidance: z.array(z.string()),
  }),
  z.object({
    role: z.literal('conflict'),
    handoff: Handoff,
    base: CommitSha,
    tip: CommitSha,
    files: z.array(z.string()),
    conflicts: z.array(Conflict).optional(),
  }),
]);
export type AgentBrief = z.infer<typeof AgentBrief>;

/** Signal `message`: what a person says to a task's agent while it works. */
export const AgentMessage = z.object({
  id: z.string(),
  text: z.string(),
  /** It has to hand off what there is. */
  handOff: z.boolean().optional(),
});
export type AgentMessage = z.infer<typeof AgentMessage>;

/** Signal `used`, from an agent that is cancelled to its task: over its whole life, as no result will say it. */
export const UsedMessage = z.object({ sender: Chain, used: Used });
export type UsedMessage = z.infer<typeof UsedMessage>;

/** Carried through continue-as-new, at a compaction. */
const AgentCarry = z.object({
  messages: z.array(Message),
  turn: z.number().int(),
  number: z.number().int(),
  metrics: AgentMetrics,
  startedAt: z.number(),
  checkpoint: Checkpoint.optional(),
  /** Said to it and not told to the model yet. */
  said: z.array(AgentMessage).optional(),
  /** How often failing checks have gone back to it. */
  checkRounds: z.number().int().min(0).optional(),
});

export const AgentInput = z.object({
  run: RunContext,
  task: TaskSpec,
  /** From the root planner down to the task. */
  ancestors: z.array(Chain).min(1),
  brief: AgentBrief,
  sandbox: SandboxRef,
  /** Where checkpoints are kept on the remote. */
  ref: z.string(),
  /** Its share of the run's budget, over its whole life. */
  budget: Budget.optional(),
  carry: AgentCarry.optional(),
});
export type AgentInput = z.infer<typeof AgentInput>;

export const AgentResult = z.object({
  handoff: AgentHandoff,
  metrics: AgentMetrics,
  checkpoint: Checkpoint.optional(),
  checks: z.array(CheckResult).optional(),
});
export type AgentResult = z.infer<typeof AgentResult>;
