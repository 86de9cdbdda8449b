/** What a batch makes of a tip: the commits to push and every entry's outcome if the push is taken. */
import type { MergeOutcome, MergeRequest } from '../../shared/contracts/merge.ts';
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { GitError } from '../git/errors.ts';
import { guardLanding, lostByLanded } from './guard.ts';
import { commitLanding } from './landing-commits.ts';
import { landedChanges, presentCommits } from './landed-changes.ts';
import { mergeOnto, ancestryOf } from './merge-onto.ts';

export type Plan = {
  /** The tip with all that merges on top; the tip itself when there is nothing to push. */
  tip: CommitSha;
  /** One for each entry, true once the push is read back. */
  outcomes: MergeOutcome[];
};

/** In the entries' order, each onto what those before it made. Nothing leaves the mirror. */
export async function planBatch(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly MergeRequest[],
  signal?: AbortSignal,
): Promise<Plan> {
  const landed = await landedChanges(
    mirror,
    tip,
    entries.map(({ base }) => base),
    signal,
  );
  const open = entries.filter((entry) => !landed.has(entry.requester.firstRunId));
  const missing = await fetchWork(mirror, open, signal);
  const there = open.filter(({ commit }) => !missing.has(commit));
  const { straight, astray } = await ancestryOf(mirror, tip, there, signal);
  let running = tip;
  let tree = await mirror.treeOf(tip);
  const outcomes: MergeOutcome[] = [];
  for (const entry of entries) {
    const change = entry.requester.firstRunId;
    const before = landed.get(change);
    const gone = missing.get(entry.commit);
    if (before !== undefined) {
      outcomes.push({ kind: 'landed', commit: before, ...(await lostByLanded(mirror, entry, before, signal)) });
      continue;
    }
    if (gone !== undefined) {
      outcomes.push({ kind: 'dropped', reason: gone });
      continue;
    }
    const { commit: work, base } = entry;
    const merged = await mergeOnto(mirror, { tip: running, base, work, straight: straight.has(work) }, signal);
    if (merged.kind === 'conflict') {
      outcomes.push({ kind: 'conflicted', files: merged.files, tip: running });
    } else if (merged.tree === tree) {
      outcomes.push({ kind: 'empty' });
    } else {
      const guarded = await guardLanding(mirror, entry, { before: running, after: merged.tree }, signal);
      if (guarded.held !== undefined) {
        outcomes.push(guarded.held);
        continue;
      }
      const baseOnBranch = !astray.has(base);
      running = await commitLanding(mirror, { entry, tip: running, tree: merged.tree, baseOnBranch }, signal);
      tree = merged.tree;
      landed.set(change, running);
      outcomes.push({ kind: 'landed', commit: running, ...guarded.told });
    }
  }
  return { tip: running, outcomes };
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
  reason: string,
  signal?: AbortSignal,
): Promise<MergeOutcome[]> {
  const before = await landedChanges(
    mirror,
    tip,
    entries.map(({ base }) => base),
    signal,
  );
  const outcomes: MergeOutcome[] = [];
  for (const [i, entry] of entries.entries()) {
    const planned = plan.outcomes[i];
    const commit = before.get(entry.requester.firstRunId);
    if (commit !== undefined) {
      outcomes.push({ kind: 'landed', commit });
    } else if (planned?.kind === 'conflicted' || planned?.kind === 'empty') {
      const alone = await planBatch(mirror, tip, [entry], signal);
      const outcome = alone.outcomes[0];
      outcomes.push(outcome === undefined || outcome.kind === 'landed' ? { kind: 'refused', reason } : outcome);
    } else {
      outcomes.push(planned?.kind === 'dropped' ? planned : { kind: 'refused', reason });
    }
  }
  return outcomes;
}

/**
 * Gets the work that is not in this host's mirror.
 * @returns why, for each commit that the remote does not have any more: one lost commit must not stop a batch.
 * @throws GitError when the remote could not be asked.
 */
async function fetchWork(
  mirror: Mirror,
  entries: readonly MergeRequest[],
  signal?: AbortSignal,
): Promise<Map<CommitSha, string>> {
  const lost = new Map<CommitSha, string>();
  const wanted = entries.flatMap(({ commit, base }) => [commit, base]);
  const present = new Set(await presentCommits(mirror, wanted, signal));
  for (const { commit, base, ref } of entries) {
    try {
      if (!present.has(commit)) await mirror.ensureCommit(commit, ref);
      // The work stands on its base, so whoever has the one got the other with it.
      if (!present.has(base)) await mirror.ensureCommit(base, ref);
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      if (error.kind !== 'not-found' && error.code !== 0) throw error;
      const now = await mirror.readRemoteRef(ref);
      lost.set(commit, `commit ${commit} is not on the remote any more: ${ref} is ${now ?? 'deleted'}`);
    }
  }
  return lost;
}
