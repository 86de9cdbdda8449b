/** Leases of sandboxes and the work that comes out of them. */
import { z } from 'zod';
import { Chain, CommitSha } from '../base/ids.ts';
import { Checkpoint, SandboxRef } from './agent.ts';
import { RunContext } from './run.ts';
import { TaskSpec } from './task.ts';

/**
 * What the work tree is when the sandbox opens: the target's tip at that moment; a failed attempt's commit;
 * or a merge in progress (`theirs` merged onto the target's tip, conflict markers in the tree).
 */
export const SandboxStart = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('tip') }),
  z.object({ kind: z.literal('commit'), commit: CommitSha, ref: z.string() }),
  z.object({ kind: z.literal('merge'), theirs: CommitSha, ref: z.string() }),
]);
export type SandboxStart = z.infer<typeof SandboxStart>;

export const HoldRequest = z.object({
  run: RunContext,
  /** The task that holds the lease: gets the signal `leased`, and the sandbox is kept while it is open. */
  holder: Chain,
  ancestors: z.array(Chain),
  epoch: z.number().int().min(1),
  start: SandboxStart,
});
export type HoldRequest = z.infer<typeof HoldRequest>;

/** Adopts a sandbox that a lost lease left on this host; refused (SandboxGone) when it is not there. */
export const AdoptRequest = HoldRequest.extend({ sandbox: SandboxRef });
export type AdoptRequest = z.infer<typeof AdoptRequest>;

/** Signal `leased`, from the lease's activity to the task. */
export const LeasedMessage = z.object({
  sandbox: SandboxRef,
  /** What the work is measured against: the target's tip, or the merge base of a retry's commit. */
  base: CommitSha,
  /** The commit that was to be the start is nowhere any more: the work tree is the target's tip. */
  startLost: z.boolean().optional(),
});
export type LeasedMessage = z.infer<typeof LeasedMessage>;

/** How a lease ended when it did not fail. */
export const HoldResult = z.object({ end: z.enum(['released', 'gone', 'orphaned']) });
export type HoldResult = z.infer<typeof HoldResult>;

export const CollectRequest = z.object({
  run: RunContext,
  sandbox: SandboxRef,
  base: CommitSha,
  restore: Checkpoint.optional(),
  /** The task whose work it is: its chain makes the trailers, its path the ref. */
  task: TaskSpec,
  change: Chain,
  ref: z.string(),
  /** It is a fix: the tamper guard looks closer. */
  fix: z.boolean().optional(),
  /** First line and body of the commit; `Swarm-*` lines in it are dropped. */
  subject: z.string(),
  body: z.string(),
  /**
   * The date of the commit, in ms since 1970: the same for all tries, so that they make the same commit. Not in
   * requests of earlier versions: now.
   */
  at: z.number().int().optional(),
  /** It was tried in another sandbox before, and what came of that was not heard of. */
  again: z.boolean().optional(),
});
export type CollectRequest = z.infer<typeof CollectRequest>;

export const CollectResult = z.object({
  /**
   * What the work is measured against, the parent of `commit`. Not the request's when the sandbox was restored from
   * a checkpoint that stands on an older tip.
   */
  base: CommitSha.optional(),
  /** The work as one commit of the host's on top of `base`, pushed to `ref`; absent when nothing changed. */
  commit: CommitSha.optional(),
  filesChanged: z.array(z.string()),
  /** What of it makes tests or checks weaker, in sentences. Absent where nothing does. */
  tamper: z.array(z.string()).optional(),
  /** Conflict markers that are still in files which were in conflict. */
  unresolved: z.array(z.string()),
});
export type CollectResult = z.infer<typeof CollectResult>;
