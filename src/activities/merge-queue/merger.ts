/**
 * How a batch's merges and commits are made. Both ways make the same objects, byte for byte; a batch is tried with one
 * process for all, and made anew with one process for each when anything at all was wrong with that.
 */
import { CommitSha } from '../../shared/base/ids.ts';
import { commitContent, type NewCommit, writeCommit } from '../git/commit-object.ts';
import type { Mirror } from '../git/contract.ts';
import type { Conversation } from '../git/conversation.ts';
import { isObjectName, type Merge, type Merged, mergeOnto, stoodIn } from './merge-onto.ts';

export interface Merger {
  /** @throws for everything that is not a content conflict. */
  merge(merge: Merge): Promise<Merged>;
  commit(commit: NewCommit): Promise<CommitSha>;
}

/** Two processes for each landing. Every error of git is told by its own exit code and standard error. */
export const oneByOne = (mirror: Mirror, signal?: AbortSignal): Merger => ({
  merge: (merge) => mergeOnto(mirror, merge, signal),
  commit: (commit) => mirror.commitTree(commit),
});

/**
 * One `merge-tree --stdin` for all that `work` merges, and commits written here. What it resolves with holds: git has
 * ended well, without a word on standard error (a tree that it cannot read counts as empty for it).
 * @returns undefined where git does not do this.
 * @throws what `work` throws, and Error when the process failed; nothing is known then.
 */
export async function together<T>(
  mirror: Mirror,
  work: (merger: Merger) => Promise<T>,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const git = mirror.converse(['merge-tree', '--write-tree', '--stdin', '--name-only'], signal);
  if (git === undefined) return undefined;
  const commit = async (made: NewCommit): Promise<CommitSha> => {
    const content = commitContent(made);
    if (content === null) return await mirror.commitTree(made);
    return await writeCommit(mirror.dir, content, made.tree.length === 40 ? 'sha1' : 'sha256');
  };
  try {
    const result = await work({
      commit,
      async merge(merge) {
        const [ours, theirs] = await stoodIn(merge, commit);
        git.send(`${CommitSha.parse(ours)} ${CommitSha.parse(theirs)}`);
        // Which paths a conflict without a file is about is read from the messages of a process of its own.
        return (await readMerged(git, { ours, theirs })) ?? (await mergeOnto(mirror, merge, signal));
      },
    });
    await git.end();
    return result;
  } finally {
    git.stop();
  }
}

/** Fields of one answer, see git-merge-tree(1). @returns null for a conflict that names no file. */
async function readMerged(git: Conversation, sides: { ours: CommitSha; theirs: CommitSha }): Promise<Merged | null> {
  const status = await git.next();
  const tree = await git.next();
  if (!['0', '1'].includes(status) || !isObjectName(tree)) {
    throw new Error(`git merge-tree --stdin answered ${JSON.stringify([status, tree])}`);
  }
  const files: string[] = [];
  for (let file = await git.next(); file !== ''; file = await git.next()) files.push(file);
  if (status === '1') {
    if (files.length > 0) throw new Error(`a clean merge of git merge-tree --stdin names ${files.join(', ')}`);
    return { kind: 'clean', tree };
  }
  // Messages: number of paths, the paths, a type, a text. The end of an answer is empty, or advice about submodules.
  for (let count = await git.next(); /^\d+$/.test(count); count = await git.next()) {
    for (let left = Number.parseInt(count, 10) + 2; left > 0; left--) await git.next();
  }
  return files.length === 0 ? null : { kind: 'conflict', tree, files: [...new Set(files)], sides };
}
