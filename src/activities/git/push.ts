/** The only way in which a branch moves: from the commit that was read, to one that contains it. */
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from './contract.ts';
import type { Refusal } from '../../shared/contracts/merge.ts';
import { GitError, remoteWords } from './errors.ts';
import { branchRef } from './names.ts';
import { classifyRefusal } from './refusals.ts';

/** What the remote answered. Only reading the ref back tells what became of a push that is `unclear`. */
export type PushAnswer =
  | { kind: 'pushed' }
  | { kind: 'stale' }
  | { kind: 'refused'; reason: string; because: Refusal }
  | { kind: 'unclear'; error: GitError };

export type BranchMove = {
  branch: string;
  /** The tip as it was read: the proof without which nothing moves. null: the branch must not exist. */
  expected: CommitSha | null;
  /** Contains `expected`. */
  next: CommitSha;
};

/** Moves a branch of the remote by compare-and-swap. Throws only what is no answer of git (a cancellation). */
export async function pushBranch(mirror: Mirror, move: BranchMove, signal?: AbortSignal): Promise<PushAnswer> {
  const { branch, expected, next } = move;
  if (expected !== null) {
    const { code } = await mirror.git(['merge-base', '--is-ancestor', expected, next], { ok: [0, 1] });
    if (code !== 0) throw new Error(`${branch} only moves forward: ${next} does not contain ${expected}`);
  }
  const ref = branchRef(branch);
  const lease = `--force-with-lease=${ref}:${expected ?? ''}`;
  const argv = ['push', '--porcelain', '--no-verify', lease, '--', mirror.repo.location, `${next}:${ref}`];
  try {
    await mirror.git(argv, { signal });
    return { kind: 'pushed' };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    switch (error.kind) {
      case 'stale':
        return { kind: 'stale' };
      case 'refused':
        return { kind: 'refused', reason: remoteWords(error.output), because: classifyRefusal(error.output) };
      // A token that has run out is renewed by its helper or by its owner.
      case 'credentials':
      case 'network':
      case 'not-found':
      case 'other':
        return { kind: 'unclear', error };
    }
  }
}
