/** Whether what lands is checked before it lands, and how. A repository's policy, part of a run's settings. */
import { z } from 'zod';

/**
 * - `none`: land first, the reconciler heals after.
 * - `batch`: all that waits is checked as one; what makes it fail is found by bisecting and ejected.
 * - `speculative`: what comes meanwhile is checked ahead, in parallel slots.
 */
export const GateMode = z.enum(['none', 'batch', 'speculative']);
export type GateMode = z.infer<typeof GateMode>;

export const MergePolicy = z.strictObject({
  /** Default: `batch` where there are checks, `none` where there are none. */
  gate: GateMode.optional(),
  /** Checks at once of a speculative gate; each takes one of the reserved sandboxes. Default: 4. */
  slots: z.number().int().min(1).max(16).optional(),
});
