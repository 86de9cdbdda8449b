/** How work becomes commits of the branch. */
import { z } from 'zod';

/**
 * All commits are made by the host and carry `Swarm-Task` and `Swarm-Change`.
 * - `rebase`: one commit a task on top of the tip. Linear.
 * - `squash`: the same; its message lists the commits that the work was made of. Linear.
 * - `fast-forward`: the work's own commits with their trees, where the work stands on the tip; else as `rebase`. Linear.
 * - `merge-commit`: the work's own commits on its base, and a merge of them into the tip.
 */
export const MergeStrategy = z.enum(['rebase', 'squash', 'fast-forward', 'merge-commit']);
export type MergeStrategy = z.infer<typeof MergeStrategy>;
