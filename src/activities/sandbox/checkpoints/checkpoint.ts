/**
 * Code out: the work tree as a commit in the host's mirror. The tree is written by git inside the sandbox, over the
 * host's own git folder, so a damaged or hostile `.git` of the agent's changes nothing; what comes out the mirror takes
 * only through fsck. There are two ways, which give the same commits: plain-checkpoint.ts and fast/fast-checkpoint.ts.
 */
import type { TreeRecord } from '../state/lease-file.ts';
import { createFastCheckpoints } from './fast/fast-checkpoint.ts';
import { codeTransport } from './local-transport.ts';
import type { CheckpointDeps, CheckpointWriter } from './contract.ts';
import { createPlainCheckpoints } from './plain-checkpoint.ts';

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
