/** `refs/agentswarm/green/<branch>`: the newest commit of a branch that is known to pass its checks. */
import type { SweepActivities } from '../../shared/contracts/activities.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { type CommitSha, greenRef } from '../../shared/base/ids.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import { GitError, remoteWords } from '../git/errors.ts';
import { branchRef, checkRef } from '../git/names.ts';
import type { Log } from '../support/log.ts';

const TRIES = 5;

/** @returns `readTip` of SweepActivities. */
export function createReadTip({ mirrors }: { mirrors: Mirrors }): SweepActivities['readTip'] {
  return async ({ repo, branch }) => {
    const mirror = await mirrors.open(repo);
    const tip = await mirror.fetchBranch(branch);
    return { tip, green: await mirror.readRemoteRef(greenRef(branch)) };
  };
}

/**
 * @returns `moveGreen` of SweepActivities: by compare-and-swap, and never back. Where the branch was rewritten, so
 *   that what was green is no part of it any more, the ref follows the branch.
 */
export function createMoveGreen({ mirrors, log }: { mirrors: Mirrors; log: Log }): SweepActivities['moveGreen'] {
  return async ({ repo, branch, commit }) => {
    const ref = greenRef(branch);
    checkRef(ref);
    const mirror = await mirrors.open(repo);
    for (let tries = 1; ; tries++) {
      const before = await mirror.readRemoteRef(ref);
      if (before !== null && (before === commit || (await isNewer(mirror, { green: before, commit, branch, ref })))) {
        return { green: before };
      }
      const moved = await push(mirror, { ref, expected: before, commit });
      const after = await mirror.readRemoteRef(ref);
      if (after === commit) {
        log.info({ repo: repo.key, branch, before, green: commit }, 'green has moved');
        return { green: commit };
      }
      if (moved !== undefined && (after === before || tries >= TRIES)) throw moved;
      if (tries >= TRIES) throw new Error(`${ref} of ${repo.location} is ${after} after it was pushed as ${commit}`);
    }
  };
}

/** Whether a commit that is green already, and part of the branch, stands on this one. */
async function isNewer(
  mirror: Mirror,
  { green, commit, branch, ref }: { green: CommitSha; commit: CommitSha; branch: string; ref: string },
): Promise<boolean> {
  await mirror.ensureCommit(green, ref);
  const tip = await mirror.fetchBranch(branch);
  const contains = async (ancestor: CommitSha, of: CommitSha): Promise<boolean> =>
    (await mirror.git(['merge-base', '--is-ancestor', ancestor, of], { ok: [0, 1] })).code === 0;
  return (await contains(commit, green)) && (await contains(green, tip));
}

/** @returns what went wrong, where another try may mend it. @throws PushRefused. */
async function push(
  mirror: Mirror,
  { ref, expected, commit }: { ref: string; expected: CommitSha | null; commit: CommitSha },
): Promise<GitError | undefined> {
  const { location } = mirror.repo;
  await mirror.ensureCommit(commit, branchRef(ref.slice(greenRef('').length)));
  const lease = `--force-with-lease=${ref}:${expected ?? ''}`;
  try {
    await mirror.git(['push', '--porcelain', '--no-verify', lease, '--', location, `${commit}:${ref}`]);
    return undefined;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (error.kind === 'refused') {
      throw terminal(
        FailureType.PushRefused,
        `${location} refused to move ${ref} to ${commit}:\n${remoteWords(error.output)}`,
        'Let the worker create and move refs below refs/agentswarm/.',
        error,
      );
    }
    return error;
  }
}
