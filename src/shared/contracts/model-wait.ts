/** Signal `modelWait`, from a worker to a root planner: calls of its run have no model to ask, or have one again. */
import { z } from 'zod';

export const ModelWait = z.object({
  /** Which worker process: each has endpoints and limits of its own. */
  worker: z.string().min(1).max(200),
  /** ms since the epoch. */
  at: z.number(),
  /** Absent: nobody waits any more. */
  waiting: z
    .object({
      /** Of the call that waits longest, ms since the epoch. */
      since: z.number(),
      calls: z.number().int().positive(),
      why: z.string().max(1_000),
    })
    .optional(),
});
export type ModelWait = z.infer<typeof ModelWait>;

/** While a wait goes on it is told again so often: news that are twice as old are of a worker that has died. */
export const MODEL_WAIT_EVERY_MS = 300_000;

/** In a run's snapshot: of all workers together. */
export type WaitingForModel = NonNullable<ModelWait['waiting']> & {
  /** When that was last said, ms since the epoch. */
  heardAt: number;
};
