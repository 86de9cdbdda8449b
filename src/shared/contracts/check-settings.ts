/** What a repository calls well: commands that exit 0 when all is well. Part of a run's settings. Pure. */
import { z } from 'zod';

export const Check = z.strictObject({
  name: z.string().min(1).max(200),
  /** Shell command, run in the sandbox at the root of the work tree. */
  command: z.string().min(1).max(2_000),
  /** Run before a task's handoff counts as complete, and not only before landing: types, lint. */
  quick: z.boolean().default(false),
  timeoutMinutes: z.number().positive().max(30).default(10),
});
export type Check = z.infer<typeof Check>;

export const Checks = z.array(Check).max(30);
