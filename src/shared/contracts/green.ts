/** Whether a branch passes its checks, as a run's report and snapshot say it. */
import { z } from 'zod';

/** Of the newest sweep. */
export const Green = z.object({
  /** `unknown`: the checks could not be run. `none`: there are none. */
  verdict: z.enum(['green', 'red', 'unknown', 'none']),
  commit: z.string().optional(),
  /** Red, as it was before the run began. */
  inherited: z.boolean().optional(),
  reason: z.string().optional(),
  /** When that was found out, in ms since the epoch. */
  at: z.number(),
  /** Fix tasks that landed. */
  heals: z.number().int().nonnegative(),
});
export type Green = z.infer<typeof Green>;
