/** What writes checkpoints, whichever way it goes. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import type { Log } from '../../support/log.ts';
import type { SandboxProvider } from '../provider.ts';
import type { Records } from '../state/lease-file.ts';
import type { CheckpointStore } from './checkpoint-store.ts';

export type CheckpointDeps = { provider: SandboxProvider; records: Records; store: CheckpointStore; log: Log };

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
