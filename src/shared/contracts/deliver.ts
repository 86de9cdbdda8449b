/** How what a run has landed gets to the people who wanted it. */
import { z } from 'zod';

/** `branch`: it is on the run's branch. `pull-request`: and is proposed from there to the branch the run started from. */
export const DeliverMode = z.enum(['branch', 'pull-request']);
export type DeliverMode = z.infer<typeof DeliverMode>;

export const PullRequest = z.object({
  url: z.string(),
  number: z.number().int().positive(),
  /** `merged`, `closed`: people were faster. */
  state: z.enum(['open', 'merged', 'closed']),
  /** The branch that it is against. */
  into: z.string(),
});
export type PullRequest = z.infer<typeof PullRequest>;

export const Delivery = z.discriminatedUnion('kind', [
  PullRequest.extend({ kind: z.literal('pull-request') }),
  /** There is nothing to propose. */
  z.object({ kind: z.literal('nothing'), reason: z.string() }),
]);
export type Delivery = z.infer<typeof Delivery>;
