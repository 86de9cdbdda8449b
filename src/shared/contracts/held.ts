/** Work that a guard keeps from landing until a person releases it. */
import { z } from 'zod';
import { CommitSha } from '../base/ids.ts';

/** Who holds it: `guard`, as it would remove what others have landed; `tamper`, as it weakens tests or checks. */
export const HeldBy = z.enum(['guard', 'tamper']);

/** All that landing it takes, as it is on the remote. Carried by planners: texts are cut. */
export const HeldWork = z.object({
  by: HeldBy,
  commit: CommitSha,
  /** Where the remote has the commit. */
  ref: z.string().min(1),
  /** What the commit is measured against: its parent. */
  base: CommitSha,
  /** Where the task's work began, if that is not `base`. */
  since: CommitSha.optional(),
  /** Of its handoff. */
  summary: z.string(),
  /** The first of the files that it changes. */
  files: z.array(z.string()),
});
export type HeldWork = z.infer<typeof HeldWork>;

/** Held work that a person wants landed as it is. */
export const Release = HeldWork.extend({
  /** As the person gave it; may be empty. */
  reason: z.string(),
});
export type Release = z.infer<typeof Release>;
