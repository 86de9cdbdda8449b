/** Code in: a fresh sandbox gets its work tree, its own `.git`, and the host's git folder for checkpoints. */
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import { CommitSha } from '../../../shared/base/ids.ts';
import type { SandboxStart } from '../../../shared/contracts/sandbox.ts';
import type { Mirror } from '../../git/contract.ts';
import { GitError } from '../../git/errors.ts';
import type { SandboxProvider } from '../provider.ts';
import type { TreeRecord } from '../state/lease-file.ts';
import { CheckpointError, checkpointExec } from './checkpoint-git.ts';
import { codeTransport } from './local-transport.ts';

/** What the work tree is made of. */
export type StartPoint = {
  /** What the work is measured against. */
  base: CommitSha;
  /** What is checked out. */
  commit: CommitSha;
  /** What is being merged onto it. */
  merging?: CommitSha;
  /** The commit that was asked for, which is nowhere any more: this is the tip instead. */
  lost?: CommitSha;
};

/** Reads the target's tip from the remote and makes sure that all of the start is in the mirror. */
export async function resolveStart(mirror: Mirror, target: string, start: SandboxStart): Promise<StartPoint> {
  const tip = await mirror.fetchBranch(target);
  switch (start.kind) {
    case 'tip':
      return { base: tip, commit: tip };
    case 'commit': {
      if (!(await isKept(mirror, start.commit, start.ref))) return { base: tip, commit: tip, lost: start.commit };
      const base = await mirror.mergeBase(tip, start.commit);
      if (base !== null) return { base, commit: start.commit };
      throw terminal(
        FailureType.RepositoryUnusable,
        `Commit ${start.commit} has no history in common with ${target} (${tip}): the branch was rewritten.`,
        'Start the run again on the branch as it is now.',
      );
    }
    case 'merge':
      await mirror.ensureCommit(start.theirs, start.ref);
      return { base: tip, commit: tip, merging: start.theirs };
  }
}

/** @returns false only when the remote has answered that neither the ref nor its history holds the commit. */
async function isKept(mirror: Mirror, commit: CommitSha, ref: string): Promise<boolean> {
  try {
    await mirror.ensureCommit(commit, ref);
    return true;
  } catch (error) {
    const fetched = error instanceof GitError && error.code === 0;
    if (fetched || (await mirror.readRemoteRef(ref)) === null) return false;
    throw error;
  }
}

const CHECK_OUT = `set -e
git read-tree --reset -u "$1"
[ -s "$GIT_DIR/index" ] || { echo 'it wrote no index' >&2; exit 1; }
cp -- "$GIT_DIR/index" "$GIT_WORK_TREE/.git/index"
[ -n "$2" ] || exit 0
unset GIT_DIR GIT_WORK_TREE
git merge --no-commit --no-ff --quiet "$2" >&2 || [ -f .git/MERGE_HEAD ]
`;

/**
 * Fills an empty sandbox. No hook, filter or submodule of the repository runs; submodules stay unpopulated.
 * @param exclude gitignore lines of what `setup` will add, which is never part of the work.
 */
export async function checkOut(options: {
  provider: SandboxProvider;
  mirror: Mirror;
  id: string;
  start: StartPoint;
  exclude?: readonly string[];
  signal?: AbortSignal;
}): Promise<TreeRecord> {
  const { provider, mirror, id, start, exclude = [], signal } = options;
  const { base, commit, merging } = start;
  const others = merging === undefined ? [base] : [base, merging];
  const untilAborted = signal === undefined ? {} : { signal };
  await codeTransport(provider).prepare(mirror, id, { commit, others, exclude, ...untilAborted });
  const result = await checkpointExec(provider, id, CHECK_OUT, [commit, merging ?? ''], {
    timeoutMs: 10 * 60_000,
    ...untilAborted,
  });
  if (result.exitCode !== 0 || result.reason !== 'exit')
    throw new CheckpointError(id, `check-out of ${commit}`, result);
  const tree = CommitSha.parse(await mirror.treeOf(commit));
  return {
    base,
    commit,
    tree,
    turn: 0,
    inMirror: true,
    packedOn: commit,
    ...(merging === undefined ? {} : { merging }),
  };
}
