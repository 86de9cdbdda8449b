/** Merging without pushing, and pushing what has been checked: the two halves of a landing that has a gate. */
import { z } from 'zod';
import { CommitSha } from '../base/ids.ts';
import { MergeOutcome, MergeRequest, Refusal } from './merge.ts';
import { RepositoryRef } from './run.ts';

const branch = { repo: RepositoryRef, target: z.string().min(1) };

export const ComposeRequest = z.object({
  ...branch,
  /** The branch's tip as it was read; absent: it is read now. */
  base: CommitSha.optional(),
  /** What was composed on `base` before, to go on from, with the ref that has it on the remote. */
  onto: z.object({ commit: CommitSha, ref: z.string().min(1) }).optional(),
  /** In the order in which they are merged. None: only the tip is read. */
  entries: z.array(MergeRequest),
});
export type ComposeRequest = z.infer<typeof ComposeRequest>;

export const ComposedStep = z.discriminatedUnion('kind', [
  /** `outcome` is true once the branch contains its commit. */
  z.object({ kind: z.literal('merged'), id: z.string(), outcome: MergeOutcome.options[0] }),
  /** It does not go with what is before it in the line, though it may with the branch's tip. */
  z.object({ kind: z.literal('aside'), id: z.string() }),
  /** Whatever becomes of the others: it is on the branch already, or conflicts with it, or is lost. */
  z.object({ kind: z.literal('decided'), id: z.string(), outcome: MergeOutcome }),
]);
export type ComposedStep = z.infer<typeof ComposedStep>;

export const ComposeResult = z.object({
  /** The branch's tip that all of it stands on. */
  base: CommitSha,
  /** `base`, or what was to be gone on from, with all that was merged. */
  commit: CommitSha,
  /** Where the remote has `commit`. */
  ref: z.string().min(1),
  /** One for each entry, in the same order. */
  steps: z.array(ComposedStep),
});
export type ComposeResult = z.infer<typeof ComposeResult>;

export const LandLineRequest = z.object({
  ...branch,
  base: CommitSha,
  commit: CommitSha,
  ref: z.string().min(1),
  /** Refs of work and of composed lines, which are deleted once it has landed. */
  drop: z.array(z.string()),
});
export type LandLineRequest = z.infer<typeof LandLineRequest>;

export const LandLineResult = z.discriminatedUnion('kind', [
  /** The remote's branch was read back and contains `commit`; `tip` is what it is at. */
  z.object({ kind: z.literal('landed'), tip: CommitSha }),
  /** The branch is not at `base` any more: nothing was pushed. */
  z.object({ kind: z.literal('overtaken') }),
  z.object({ kind: z.literal('refused'), reason: z.string(), because: Refusal }),
]);
export type LandLineResult = z.infer<typeof LandLineResult>;
