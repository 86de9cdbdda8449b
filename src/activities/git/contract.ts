/**
 * What the rest of the activities know of git: one bare mirror per repository and host. Merging and reading
 * are plumbing over the mirror; nothing here ever runs git inside a directory that an agent could write.
 */
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { NewCommit } from './commit-object.ts';
import type { Conversation } from './conversation.ts';

/** A process's answer. Output is bytes: paths need not be UTF-8. */
export type GitOutput = { stdout: Buffer; stderr: string; code: number };

export interface Mirror {
  /** Absolute path of the bare repository. Its objects may be mounted read-only into sandboxes. */
  readonly dir: string;
  readonly repo: RepositoryRef;
  /** Runs git over the mirror with the hardened environment; throws GitError on a code not in `ok` (default [0]). */
  git(
    argv: readonly string[],
    options?: { stdin?: string | Buffer; ok?: readonly number[]; signal?: AbortSignal },
  ): Promise<GitOutput>;
  /** The commit that a ref of the *remote* has now, or null. Asks the remote. */
  readRemoteRef(ref: string): Promise<CommitSha | null>;
  /** Fetches a branch of the remote and returns its tip. Throws when it does not exist. */
  fetchBranch(branch: string): Promise<CommitSha>;
  /** The tip as this process has fetched it within the last minute; for what may be that old. */
  recentTip(branch: string): Promise<CommitSha>;
  /** Makes sure that a commit is in the mirror, fetching `ref` from the remote when it is not. */
  ensureCommit(commit: CommitSha, ref: string): Promise<void>;
  /** Fetches refs of the remote, of which one that is gone fails all. They get no ref in the mirror. */
  fetchWork(refs: readonly string[]): Promise<void>;
  /** Takes a bundle written by a sandbox (untrusted) into the mirror with fsck; returns the commit it carries. */
  importBundle(bundle: Buffer, commit: CommitSha, keepRef: string): Promise<void>;
  /**
   * Starts a git over the mirror that is asked many times; local plumbing only. undefined where git does not answer
   * such, as was found out before.
   */
  converse(argv: readonly string[], signal?: AbortSignal): Conversation | undefined;
  /** Writes a commit object by the host's author, of now unless a date is given. The message is passed on stdin. */
  commitTree(commit: Omit<NewCommit, 'at'> & { at?: Date }): Promise<CommitSha>;
  treeOf(commit: CommitSha): Promise<string>;
  /** What is below a commit's tree; remembered. */
  contentOf(commit: CommitSha): Promise<TreeContent>;
  /** Paths that differ, as git names them (UTF-8 lossy). */
  changedFiles(from: CommitSha, to: CommitSha): Promise<string[]>;
  mergeBase(a: CommitSha, b: CommitSha): Promise<CommitSha | null>;
  /** Pushes one commit to a ref of the remote, whatever it had (work refs only, never a branch); several at a time go in one push. */
  pushWork(commit: CommitSha, ref: string): Promise<void>;
  /** Deletes refs of the remote; one that is not there is no error. */
  deleteRemoteRefs(refs: readonly string[]): Promise<void>;
  /** Refs of the remote below a prefix. */
  listRemoteRefs(prefix: string): Promise<Map<string, CommitSha>>;
}

export type TreeContent = {
  /** Its trees and blobs and others, as far as they are remembered, which the mirror has with all that they name. */
  objects: Pick<ReadonlySet<string>, 'has'>;
  /** Paths, a character for each byte. */
  submodules: ReadonlySet<string>;
};

export interface Mirrors {
  /** The mirror of a repository, made (cloned) when it is not there yet. */
  open(repo: RepositoryRef): Promise<Mirror>;
}
