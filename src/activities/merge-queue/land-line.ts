/** Pushes a line that has passed its gate: from exactly the tip that it was checked on, or not at all. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LandLineRequest, LandLineResult } from '../../shared/contracts/compose.ts';
import type { Mirror } from '../git/contract.ts';
import { branchRef } from '../git/names.ts';
import { pushBranch } from '../git/push.ts';
import type { Log } from '../support/log.ts';
import { dropRefs, fetchTarget } from './land.ts';

const MAX_TRIES = 12;

/**
 * Idempotent: a branch that contains the commit already was moved by an earlier attempt.
 * @throws GitError or Error (retryable) when the remote could not be asked or does not have what it said it took;
 * terminal RepositoryUnusable when the branch is gone.
 */
export async function landLine(
  mirror: Mirror,
  request: LandLineRequest,
  { log, signal }: { log?: Log; signal?: AbortSignal } = {},
): Promise<LandLineResult> {
  const { target, base, commit, ref, drop } = request;
  await mirror.ensureCommit(base, branchRef(target));
  for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
    signal?.throwIfAborted();
    // The commit's ref may be gone with an earlier attempt that was not heard of.
    const before = await mirror.readRemoteRef(branchRef(target));
    if (before !== base) {
      if (before === null || !(await contains(mirror, target, commit))) return { kind: 'overtaken' };
      return await landed(before);
    }
    await mirror.ensureCommit(commit, ref);
    const answer = await pushBranch(mirror, { branch: target, expected: base, next: commit }, signal);
    // Whatever the answer was, or that it was lost: the ref tells.
    const now = await mirror.readRemoteRef(branchRef(target));
    if (now !== null && (now === commit || (await contains(mirror, target, commit)))) return await landed(now);
    log?.info({ target, answer: answer.kind, base, now, attempt }, 'the push did not move the branch');
    if (answer.kind === 'pushed') {
      throw new Error(`${mirror.repo.location} took ${commit} for ${target}, but the branch read back is ${now}`);
    }
    if (now !== base) return { kind: 'overtaken' };
    if (answer.kind === 'refused') return answer;
    if (answer.kind === 'unclear') throw answer.error;
    // Stale and yet the same: the remote's ref was locked by someone for a moment.
    await sleep(100 * attempt, undefined, { signal });
  }
  throw new Error(`the ref of ${target} at ${mirror.repo.location} was locked each of ${MAX_TRIES} times`);

  async function landed(tip: string): Promise<LandLineResult> {
    await dropRefs(mirror, drop, log);
    return { kind: 'landed', tip };
  }
}

/** A commit that is nowhere after the branch was fetched is not on it. */
async function contains(mirror: Mirror, target: string, ours: string): Promise<boolean> {
  const theirs = await fetchTarget(mirror, target);
  return (await mirror.git(['merge-base', '--is-ancestor', ours, theirs], { ok: [0, 1, 128] })).code === 0;
}
