/** What is done about a landing that takes away what others have landed while it was made. */
import { z } from 'zod';
import { CommitSha } from '../base/ids.ts';

/** `report`: it lands, and that is told. `hold`: it does not land, and its planner is told why. */
export const GuardPolicy = z.enum(['report', 'hold']);
export type GuardPolicy = z.infer<typeof GuardPolicy>;

/** Lines of one file that others landed since the work began and that the landing removes. */
export const LostLines = z.object({
  path: z.string(),
  /** How many. */
  count: z.number().int().positive(),
  /** The first of them, cut. */
  sample: z.array(z.string()),
  /** The commits that brought them, as far as they are known; `task` is the workflow id of a task. */
  from: z.array(z.object({ commit: CommitSha, task: z.string().optional() })),
});
export type LostLines = z.infer<typeof LostLines>;
