/**
 * Code out: the work tree as a commit in the host's mirror. The tree is written by git inside the sandbox, over the
 * host's own git folder, so a damaged or hostile `.git` of the agent's changes nothing; what comes out the mirror takes
 * only through fsck. There are two ways, which give the same commits: plain-checkpoint.ts and fast/fast-checkpoint.ts.
 */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import type { TreeRecord } from '../state/lease-file.ts';
import { createFastCheckpoints } from './fast/fast-checkpoint.ts';
import { codeTransport } from './local-transport.ts';
import { type CheckpointDeps, createPlainCheckpoints } from './plain-checkpoint.ts';

export type CheckpointRequest = {
  id: string;
  turn: number;
  into: 'mirror' | 'kept';
  mirror: () => Promise<Mirror>;
  /** Those of `setup`: the record tells when they are others than before. */
  keyFiles?: readonly string[];
  signal?: AbortSignal;
};

/** `changed`: against the checkpoint before. */
export type Checkpoint = { commit: CommitSha; tree: string; changed: boolean };

export interface CheckpointWriter {
  /**
   * Stores the work tree as it is now, ignored files and what `setup` made left out, as a commit on the base: in the
   * mirror, or for as long as that will do among the stored checkpoints.
   * @throws CheckpointError when git could not, GitError when the mirror did not take it, SandboxGone.
   */
  write(request: CheckpointRequest): Promise<Checkpoint>;
}

/** The one place where the way is chosen: `fast` where it is asked for and the sandbox's objects are on this host. */
export function createCheckpoints(deps: CheckpointDeps, way: 'fast' | 'git'): CheckpointWriter {
  const { objects } = codeTransport(deps.provider);
  return way === 'fast' && objects !== undefined ? createFastCheckpoints(deps, objects) : createPlainCheckpoints(deps);
}

/**
 * Where a sandbox's checkpoints are kept on the remote. Not on the task's own ref while a merge is in progress:
 * that one holds the commit being merged, which another host must be able to fetch.
 */
export const remoteCheckpointRef = (ref: string, tree: Pick<TreeRecord, 'merging'>): string =>
  tree.merging === undefined ? ref : `${ref}.merge`;
