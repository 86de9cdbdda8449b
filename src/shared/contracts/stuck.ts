/** A workflow that cannot go on: its workflow task keeps failing or timing out, as after an upgrade that it cannot replay. */
import { z } from 'zod';

export const StuckWorkflow = z.object({
  workflowId: z.string(),
  runId: z.string(),
  /** Its type: agent, task, … */
  type: z.string(),
  /** Which attempt of the workflow task is pending. */
  attempts: z.number().int().nonnegative(),
  /** The failure of the workflow task, as the worker or the server has said it. */
  reason: z.string(),
});
export type StuckWorkflow = z.infer<typeof StuckWorkflow>;

/** One that a run has seen. Times in ms since the epoch. */
export type SeenStuck = StuckWorkflow & {
  since: number;
  /** When the run ends it, unless a worker can go on with it before. */
  endsAt: number;
};
