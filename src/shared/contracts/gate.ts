/** What the gate of a merge queue is told, and what it carries through continue-as-new. */
import { z } from 'zod';
import { Checks } from './check-settings.ts';
import { Chain, CommitSha } from '../base/ids.ts';
import { Setup } from './run-settings.ts';

/** How a request wants to be checked before it lands. */
export const GateTerms = z.object({
  mode: z.enum(['batch', 'speculative']),
  slots: z.number().int().min(1).max(16),
  checks: z.union([Checks, z.literal('detect')]),
  setup: Setup.nullable(),
});
export type GateTerms = z.infer<typeof GateTerms>;

/** Why nothing lands. `person`: nothing at all; `reconciler`: the branch is red, fixes land. */
export const Freeze = z.object({
  by: z.enum(['person', 'reconciler']),
  reason: z.string().min(1).max(2_000),
  /** Milliseconds since the epoch. */
  since: z.number(),
  /** Of a red branch: the run that mends it. The freeze ends with it. */
  chain: Chain.optional(),
});
export type Freeze = z.infer<typeof Freeze>;

/** Signal `health` to a merge queue, from a sweep: whether the branch passes its checks at this commit. */
export const BranchHealth = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('green'), commit: CommitSha }),
  /** `by`: the run that mends it. */
  z.object({
    kind: z.literal('red'),
    commit: CommitSha,
    reason: z.string().min(1).max(2_000),
    by: Chain.optional(),
  }),
  /** This run does not mend it any more, or cannot tell: it is not kept frozen for that. */
  z.object({ kind: z.literal('unknown'), by: Chain.optional() }),
]);
export type BranchHealth = z.infer<typeof BranchHealth>;

/** What was found out and still holds where the branch is at `base`. */
export const GateFindings = z.object({
  base: CommitSha,
  tip: z.enum(['green', 'unknown', 'red']),
  tipReport: z.string().optional(),
  failed: z.array(
    z.object({
      line: z.array(z.string()),
      times: z.number().int(),
      report: z.string(),
      expected: z.boolean().optional(),
      passes: z.boolean().optional(),
    }),
  ),
});
export type GateFindings = z.infer<typeof GateFindings>;
