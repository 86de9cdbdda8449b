/** How code gets into a sandbox: over the host's mirror where that can be mounted, in packs where it cannot. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';

export type Fill = {
  /** What is checked out. */
  commit: CommitSha;
  /** Further commits that must be there: what the work is measured against, what is being merged. */
  others: readonly CommitSha[];
  /** gitignore lines of what is never part of the work. */
  exclude: readonly string[];
  signal?: AbortSignal;
};

export type Provide = {
  /** Become readable in the sandbox, with their trees. */
  commits: readonly CommitSha[];
  /** What it has already, with their trees. */
  have: readonly CommitSha[];
  signal?: AbortSignal;
};

export interface CodeTransport {
  /** Gives an empty sandbox its two git folders and the objects of the commits; nothing is checked out yet. */
  prepare(mirror: Mirror, id: string, fill: Fill): Promise<void>;
  /** Called before a script in the sandbox names commits that came into the mirror later. */
  provide(mirror: Mirror, id: string, provide: Provide): Promise<void>;
  /** The objects of the checkpoints' git folder, where that is on this host. */
  objects?(id: string): string;
}
