/** What a planner submits and carries. */
import { z } from 'zod';
import { TaskSpec } from './task.ts';

/** The planner's durable memory in four parts, rewritten with each plan. */
export const Scratchpad = z.object({
  goals: z.string().max(20_000).default(''),
  state: z.string().max(20_000).default(''),
  reasoning: z.string().max(20_000).default(''),
  intelligence: z.string().max(20_000).default(''),
});
export type Scratchpad = z.infer<typeof Scratchpad>;

/** Arguments of the closing tool `submit_plan`. */
export const Plan = z.object({
  scratchpad: Scratchpad,
  tasks: z.array(TaskSpec).max(200),
  /** True when nothing is left to plan once the open tasks have landed. */
  done: z.boolean(),
});
export type Plan = z.infer<typeof Plan>;
