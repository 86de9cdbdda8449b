/**
 * What moves the branch: a batch, merged onto the running tip and pushed at once, or a line that has passed its gate.
 *
 * 1. An outcome says `landed` only after the remote's branch was read and contains the commit.
 * 2. The branch moves from exactly the tip that was read to a descendant of it, or not at all.
 * 3. A change whose Swarm-Change is on the branch is landed, and is not landed again.
 * 4. A conflict is git's own report of one, with its files; any other failure is thrown, and tried again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../support/log.ts';
import type { LandLineRequest, LandLineResult } from '../../shared/contracts/compose.ts';
import {
  type LandRequest,
  type LandResult,
  type MergeOutcome,
  type MergeRequest,
  mayBeOfOneChange,
} from '../../shared/contracts/merge.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { type CommitSha, isWorkRef } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { GitError } from '../git/errors.ts';
import { branchRef } from '../git/names.ts';
import { type BranchMove, type PushAnswer, pushBranch } from '../git/push.ts';
import { type Plan, planBatch, planRefused } from './plan.ts';

/** How often a push is tried against a branch that stays where it is and yet cannot be moved. */
const LOCKED_TRIES = 12;

export type LandOptions = {
  log?: Log;
  signal?: AbortSignal;
  /** How often the batch is put onto a new tip before it is left to a later attempt. */
  maxTries?: number;
};

/**
 * @throws terminal RepositoryUnusable when the branch is gone; GitError or Error (retryable) when the remote could
 * not be asked, was always faster, or does not have what it said it took.
 */
export async function landBatch(mirror: Mirror, request: LandRequest, options: LandOptions = {}): Promise<LandResult> {
  const { target, entries } = request;
  const { log, signal, maxTries = 12 } = options;
  let overtaken = 0;
  for (let attempt = 1; attempt <= maxTries; attempt++) {
    signal?.throwIfAborted();
    const tip = await fetchTarget(mirror, target);
    const plan = await planBatch(mirror, tip, entries, { signal, log });
    const result = (outcomes: MergeOutcome[], at: CommitSha): LandResult => ({
      tip: at,
      outcomes: entries.map((entry, i) => ({ id: entry.id, outcome: outcomeAt(outcomes, i, entry) })),
      overtaken,
    });
    if (plan.tip === tip) {
      await dropWorkRefs(mirror, entries, plan, log);
      return result(plan.outcomes, tip);
    }
    const pushed = await pushAndReadBack(mirror, { branch: target, expected: tip, next: plan.tip }, { log, signal });
    switch (pushed.kind) {
      case 'moved':
        await dropWorkRefs(mirror, entries, plan, log);
        return result(plan.outcomes, pushed.tip);
      case 'overtaken':
        overtaken++;
        break;
      case 'refused': {
        const outcomes = await planRefused(mirror, tip, entries, plan, pushed, signal);
        const refused = outcomes.filter(({ kind }) => kind === 'refused');
        if (refused.length > 1 && mayBeOfOneChange(pushed.because)) return landHalves(mirror, request, tip, options);
        return result(outcomes, tip);
      }
    }
  }
  throw new Error(
    `${target} of ${mirror.repo.location} was moved by others each of ${maxTries} times between our read and push`,
  );
}

/**
 * The remote may say no to one of them only. Where the branch moves, what is refused is refused for what is in it, not
 * for the branch.
 */
async function landHalves(
  mirror: Mirror,
  request: LandRequest,
  tip: CommitSha,
  options: LandOptions,
): Promise<LandResult> {
  const { entries } = request;
  const middle = Math.ceil(entries.length / 2);
  const first = await landBatch(mirror, { ...request, entries: entries.slice(0, middle) }, options);
  const second = await landBatch(mirror, { ...request, entries: entries.slice(middle) }, options);
  const outcomes = [...first.outcomes, ...second.outcomes];
  const moved = second.tip !== tip;
  return {
    tip: second.tip,
    overtaken: first.overtaken + second.overtaken,
    outcomes: outcomes.map(({ id, outcome }) => ({
      id,
      outcome:
        moved && outcome.kind === 'refused' && outcome.because !== undefined && mayBeOfOneChange(outcome.because)
          ? { ...outcome, because: 'content' }
          : outcome,
    })),
  };
}

/**
 * Pushes a line that has passed its gate: from exactly the tip that it was checked on, or not at all. Idempotent: a
 * branch that contains the commit already was moved by an earlier attempt.
 * @throws as landBatch.
 */
export async function landLine(
  mirror: Mirror,
  request: LandLineRequest,
  { log, signal }: Pick<LandOptions, 'log' | 'signal'> = {},
): Promise<LandLineResult> {
  const { target, base, commit, ref, drop } = request;
  const landed = async (tip: CommitSha): Promise<LandLineResult> => {
    await dropRefs(mirror, drop, log);
    return { kind: 'landed', tip };
  };
  await mirror.ensureCommit(base, branchRef(target));
  // The commit's ref may be gone with an earlier attempt that was not heard of.
  const before = await mirror.readRemoteRef(branchRef(target));
  if (before !== base) {
    if (before === null || !(await contains(mirror, target, commit))) return { kind: 'overtaken' };
    return await landed(before);
  }
  await mirror.ensureCommit(commit, ref);
  const pushed = await pushAndReadBack(mirror, { branch: target, expected: base, next: commit }, { log, signal });
  return pushed.kind === 'moved' ? await landed(pushed.tip) : pushed;
}

type Pushed =
  /** The branch contains the commit; `tip` is what was read. */
  | { kind: 'moved'; tip: CommitSha }
  /** It is elsewhere, or gone: somebody else was faster. */
  | { kind: 'overtaken' }
  | Extract<PushAnswer, { kind: 'refused' }>;

/**
 * The only way in which a landing moves a branch. Whatever the remote answered, or that its answer was lost: only what
 * the branch is afterwards tells.
 * @throws what is unclear and has not moved the branch, and a remote that does not have what it said it took.
 */
async function pushAndReadBack(
  mirror: Mirror,
  move: BranchMove & { expected: CommitSha },
  { log, signal }: Pick<LandOptions, 'log' | 'signal'>,
): Promise<Pushed> {
  const { branch, expected, next } = move;
  for (let attempt = 1; attempt <= LOCKED_TRIES; attempt++) {
    signal?.throwIfAborted();
    const answer = await pushBranch(mirror, move, signal);
    const now = await mirror.readRemoteRef(branchRef(branch));
    if (now !== null && (now === next || (await contains(mirror, branch, next)))) return { kind: 'moved', tip: now };
    log?.info({ target: branch, answer: answer.kind, expected, now, attempt }, 'the push did not move the branch');
    if (answer.kind === 'pushed') {
      throw new Error(`${mirror.repo.location} took ${next} for ${branch}, but the branch read back is ${now}`);
    }
    if (now !== expected) return { kind: 'overtaken' };
    switch (answer.kind) {
      case 'refused':
        return answer;
      case 'unclear':
        throw answer.error;
      case 'stale':
        // Stale and yet the same: the remote's ref was locked by someone for a moment.
        await sleep(100 * attempt, undefined, { signal });
    }
  }
  throw new Error(`the ref of ${branch} at ${mirror.repo.location} was locked each of ${LOCKED_TRIES} times`);
}

/** @throws terminal RepositoryUnusable when the branch is gone. */
export async function fetchTarget(mirror: Mirror, target: string): Promise<CommitSha> {
  try {
    return await mirror.fetchBranch(target);
  } catch (error) {
    if (!(error instanceof GitError) || error.kind !== 'not-found') throw error;
    // "Not found" may be the repository; asking for the ref tells the two apart, and throws for the first.
    if ((await mirror.readRemoteRef(branchRef(target))) !== null) throw error;
    throw terminal(
      FailureType.RepositoryUnusable,
      `branch ${target} of ${mirror.repo.location} does not exist any more, so nothing can land on it`,
      'Create it again (from the last landed commit), or start a run on another branch.',
      error,
    );
  }
}

/**
 * Whether the remote's branch, which is not ours exactly, contains ours: someone pushed on top of it at once. A commit
 * that is nowhere after the branch was fetched is not on it.
 */
async function contains(mirror: Mirror, target: string, ours: CommitSha): Promise<boolean> {
  const theirs = await fetchTarget(mirror, target);
  return (await mirror.git(['merge-base', '--is-ancestor', ours, theirs], { ok: [0, 1, 128] })).code === 0;
}

/** Best effort: refs that stay behind are swept with their run. */
async function dropWorkRefs(
  mirror: Mirror,
  entries: readonly MergeRequest[],
  plan: Plan,
  log: Log | undefined,
): Promise<void> {
  const done = entries.filter((_, i) => ['landed', 'empty'].includes(plan.outcomes[i]?.kind ?? ''));
  await dropRefs(
    mirror,
    done.map(({ ref }) => ref),
    log,
  );
}

/** Best effort. What is no ref of ours is left alone. */
export async function dropRefs(mirror: Mirror, refs: readonly string[], log: Log | undefined): Promise<void> {
  const ours = [...new Set(refs)].filter(isWorkRef);
  if (ours.length === 0) return;
  try {
    await mirror.deleteRemoteRefs(ours);
  } catch (error) {
    log?.warn({ err: error, refs: ours }, 'work refs of what has landed could not be deleted');
  }
}

function outcomeAt(outcomes: readonly MergeOutcome[], i: number, entry: MergeRequest): MergeOutcome {
  const outcome = outcomes[i];
  if (outcome === undefined) throw new Error(`request ${entry.id} got no outcome`);
  return outcome;
}
