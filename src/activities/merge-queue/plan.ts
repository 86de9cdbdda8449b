/** What a batch makes of a tip: the commits to push and every entry's outcome if the push is taken. */
import type { MergeOutcome, MergeRequest, Refusal } from '../../shared/contracts/merge.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { type CommitFacts, readCommits } from '../git/read-commits.ts';
import type { Log } from '../support/log.ts';
import { fetchWork, type Work } from './fetch-work.ts';
import { describeConflicts, plainPath } from './conflicts.ts';
import { guardLanding, lostByLanded } from './guard.ts';
import { commitLanding } from './landing-commits.ts';
import { landedChanges } from './landed-changes.ts';
import { type Ancestry, ancestryOf, type Merge, type Merged } from './merge-onto.ts';
import { type Merger, oneByOne, together } from './merger.ts';
import { rebaseOver } from './rebase.ts';

export type Plan = {
  /** The tip with all that merges on top; the tip itself when there is nothing to push. */
  tip: CommitSha;
  /** One for each entry, true once the push is read back. */
  outcomes: MergeOutcome[];
};

export type PlanOptions = {
  signal?: AbortSignal;
  log?: Log;
  /** Of all commits. Default: now. */
  at?: Date;
};

/** In the entries' order, each onto what those before it made. Nothing leaves the mirror. */
export async function planBatch(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly MergeRequest[],
  { signal, log, at = new Date() }: PlanOptions = {},
): Promise<Plan> {
  const batch = await gather(mirror, tip, entries, signal);
  const by = (merger: Merger): Promise<Plan> => mergeAll({ mirror, merger, at, signal, log }, batch);
  if (batch.there.length > 0) {
    try {
      const plan = await together(mirror, by, signal);
      if (plan !== undefined) return plan;
    } catch (error) {
      signal?.throwIfAborted();
      log?.info({ err: error, tip }, 'merging with one process for all failed: once more, with one for each');
    }
  }
  return by(oneByOne(mirror, signal));
}

type Batch = {
  tip: CommitSha;
  entries: readonly MergeRequest[];
  /** The newest commit of each change that is on the branch. */
  landed: ReadonlyMap<string, CommitSha>;
  /** Entries to be merged. */
  there: readonly MergeRequest[];
} & Work &
  Ancestry;

/** All that is asked of the mirror before anything is merged. */
async function gather(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly MergeRequest[],
  signal?: AbortSignal,
): Promise<Batch> {
  const named = [tip, ...entries.flatMap(({ commit, base }) => [commit, base])];
  const known = await readCommits(mirror, named, signal);
  const landed = await landedChanges(mirror, tip, basesOf(entries, known), signal);
  const open = entries.filter((entry) => !landed.has(entry.requester.firstRunId));
  const work = await fetchWork(mirror, open, known, signal);
  const there = open.filter(({ commit }) => !work.missing.has(commit));
  return { tip, entries, landed, there, ...work, ...(await ancestryOf(mirror, tip, there, work.commits, signal)) };
}

const basesOf = (entries: readonly MergeRequest[], known: ReadonlyMap<CommitSha, CommitFacts>): CommitSha[] =>
  entries.map(({ base }) => base).filter((base) => known.has(base));

/** Makes commits and says what becomes of each entry. Twice the same for the same batch and date. */
async function mergeAll(
  by: { mirror: Mirror; merger: Merger; at: Date; signal: AbortSignal | undefined; log: Log | undefined },
  batch: Batch,
): Promise<Plan> {
  const { mirror, merger, at, signal, log } = by;
  const landed = new Map(batch.landed);
  const treeOf = (commit: CommitSha): string => {
    const tree = batch.commits.get(commit)?.tree;
    if (tree === undefined) throw new Error(`${mirror.dir} has lost commit ${commit} since it was read`);
    return tree;
  };
  let running = batch.tip;
  let tree = treeOf(batch.tip);
  const outcomes: MergeOutcome[] = [];
  for (const entry of batch.entries) {
    const change = entry.requester.firstRunId;
    const before = landed.get(change);
    const gone = batch.missing.get(entry.commit);
    if (before !== undefined) {
      outcomes.push({ kind: 'landed', commit: before, ...(await lostByLanded(mirror, entry, before, signal)) });
      continue;
    }
    if (gone !== undefined) {
      outcomes.push({ kind: 'dropped', reason: gone });
      continue;
    }
    const { commit: work, base } = entry;
    const workTree = treeOf(work);
    const straight = batch.straight.has(work);
    const merge = { tip: running, tipTree: tree, base, work, workTree, straight };
    const merged = await mergedOrRebased(by, merge, batch.astray);
    if (merged.kind === 'conflict') {
      const { sides } = merged;
      const files = [...new Set(merged.files.map((file) => plainPath(file, sides)))];
      outcomes.push({
        kind: 'conflicted',
        files,
        conflicts: await describeConflicts(mirror, sides, signal),
        tip: running,
      });
    } else if (merged.tree === tree) {
      outcomes.push({ kind: 'empty' });
    } else {
      const guarded = await guardLanding(mirror, entry, { before: running, after: merged.tree }, signal);
      if (guarded.held !== undefined) {
        outcomes.push(guarded.held);
        continue;
      }
      const commit = merger.commit.bind(merger);
      const landing = { entry, tip: running, tree: merged.tree, workTree, baseOnBranch: !batch.astray.has(base), at };
      running = await commitLanding({ mirror, commit, signal }, landing);
      tree = merged.tree;
      landed.set(change, running);
      const rebased = merged.rebased === true ? { rebased: true as const } : {};
      if (merged.rebased === true)
        log?.info({ id: entry.id, commit: running }, 'rebased: it conflicted with the tip alone');
      outcomes.push({ kind: 'landed', commit: running, ...rebased, ...guarded.warning });
    }
  }
  return { tip: running, outcomes };
}

/** One merge with the tip; where that conflicts, one with each landing on the way. */
async function mergedOrRebased(
  by: { mirror: Mirror; merger: Merger; signal: AbortSignal | undefined },
  merge: Merge,
  astray: ReadonlySet<CommitSha>,
): Promise<Merged & { rebased?: true }> {
  const merged = await by.merger.merge(merge);
  // Nothing leads from a base that the branch was rewritten without to its tip.
  if (merged.kind === 'clean' || astray.has(merge.base)) return merged;
  const tree = await rebaseOver(by, merge, merged);
  return tree === undefined ? merged : { kind: 'clean', tree, rebased: true };
}

/**
 * Outcomes when the remote refused the push for good. What was judged on top of refused commits is judged again
 * on the tip alone: a conflict with something that never landed is none.
 */
export async function planRefused(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly MergeRequest[],
  plan: Plan,
  { reason, because }: { reason: string; because: Refusal },
  signal?: AbortSignal,
): Promise<MergeOutcome[]> {
  const known = await readCommits(
    mirror,
    entries.map(({ base }) => base),
    signal,
  );
  const before = await landedChanges(mirror, tip, basesOf(entries, known), signal);
  const refused: MergeOutcome = { kind: 'refused', reason, because };
  const outcomes: MergeOutcome[] = [];
  for (const [i, entry] of entries.entries()) {
    const planned = plan.outcomes[i];
    const commit = before.get(entry.requester.firstRunId);
    if (commit !== undefined) {
      outcomes.push({ kind: 'landed', commit });
    } else if (planned?.kind === 'conflicted' || planned?.kind === 'empty' || planned?.kind === 'held') {
      const alone = await planBatch(mirror, tip, [entry], { signal });
      const outcome = alone.outcomes[0];
      outcomes.push(outcome === undefined || outcome.kind === 'landed' ? refused : outcome);
    } else {
      outcomes.push(planned?.kind === 'dropped' ? planned : refused);
    }
  }
  return outcomes;
}
