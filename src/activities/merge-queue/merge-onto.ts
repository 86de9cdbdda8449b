/** One three-way merge in the mirror, without a work tree: git's merge-ort through `merge-tree --write-tree`. */
import type { CommitSha } from '../../shared/base/ids.ts';
import type { NewCommit } from '../git/commit-object.ts';
import type { Mirror } from '../git/contract.ts';
import { GitError } from '../git/errors.ts';
import type { CommitFacts } from '../git/read-commits.ts';

export type Merged =
  | { kind: 'clean'; tree: string }
  /**
   * A content conflict as git reports it. At least one file. `sides`: what was merged; `tree`: as far as it could be,
   * with the sides as markers in the files.
   */
  | { kind: 'conflict'; tree: string; files: string[]; sides: { ours: CommitSha; theirs: CommitSha } };

/** A commit that no ref ever has, to be merged in the place of its tree. */
export const helperCommit = (tree: string, parent: CommitSha): NewCommit => ({
  tree,
  parents: [parent],
  message: 'merge helper\n',
  author: { name: 'AgentSwarm', email: 'agentswarm@localhost' },
  at: new Date(0),
});

export type Merge = {
  tip: CommitSha;
  tipTree: string;
  base: CommitSha;
  work: CommitSha;
  workTree: string;
  /** Whether ancestry alone makes `base` the merge base: see ancestryOf(). */
  straight: boolean;
};

/**
 * Merges what `work` changed since `base` onto `tip`.
 * @throws GitError for everything that is not a content conflict.
 */
export async function mergeOnto(mirror: Mirror, merge: Merge, signal?: AbortSignal): Promise<Merged> {
  const { base, work } = merge;
  const [ours, theirs] = await stoodIn(merge, (commit) => mirror.commitTree(commit));
  const argv = ['merge-tree', '--write-tree', '-z', '--name-only', '--messages', ours, theirs];
  const { stdout, code, stderr } = await mirror.git(argv, { ok: [0, 1], signal });
  const fields = stdout.toString('utf8').split('\0');
  const tree = fields[0] ?? '';
  // git also ends with 1 when it cannot resolve a name; and a tree that it cannot read counts as empty for it, which
  // would come out as a conflict, or as a clean merge that deletes everything.
  if (!isObjectName(tree) || /^(?:error|fatal):/m.test(stderr)) {
    throw new GitError({ argv, on: mirror.dir, code, output: stderr.slice(-2_000) });
  }
  if (code === 0) return { kind: 'clean', tree };
  const end = fields.indexOf('', 1);
  const listed = fields.slice(1, end === -1 ? undefined : end);
  // Some directory renames conflict without any one file that does: the messages then name the paths.
  const files = listed.length > 0 ? listed : pathsInMessages(fields.slice(end + 1));
  const known = files.length > 0 ? files : await mirror.changedFiles(base, work);
  return { kind: 'conflict', tree, files: [...new Set(known)], sides: { ours, theirs } };
}

/**
 * The two commits to merge. `merge-tree --merge-base` came with git 2.40: where ancestry does not give the base (the
 * branch was rewritten, or the work is several commits), commits with the same trees on top of it stand in.
 */
export async function stoodIn(
  { tip, tipTree, base, work, workTree, straight }: Merge,
  commit: (helper: NewCommit) => Promise<CommitSha>,
): Promise<[CommitSha, CommitSha]> {
  if (straight) return [tip, work];
  return [await commit(helperCommit(tipTree, base)), await commit(helperCommit(workTree, base))];
}

export type Ancestry = {
  /**
   * Work whose only parent is its base, while the base is on the branch: its merge base with the tip, and with all that
   * is put on top of the tip, is the base.
   */
  straight: ReadonlySet<CommitSha>;
  /** Commits, bases among them, that are not on the branch. */
  astray: ReadonlySet<CommitSha>;
};

/**
 * One process for a whole batch.
 * @param commits facts of all the entries' commits.
 */
export async function ancestryOf(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly { commit: CommitSha; base: CommitSha }[],
  commits: ReadonlyMap<CommitSha, CommitFacts>,
  signal?: AbortSignal,
): Promise<Ancestry> {
  const bases = [...new Set(entries.map(({ base }) => base))].filter((base) => base !== tip);
  const astray = new Set<CommitSha>(bases.length === 0 ? [] : await notOn(mirror, tip, bases, signal));
  const isStraight = ({ commit, base }: { commit: CommitSha; base: CommitSha }): boolean =>
    commits.get(commit)?.parents.join() === base && !astray.has(base);
  return { straight: new Set(entries.filter(isStraight).map(({ commit }) => commit)), astray };
}

async function notOn(
  mirror: Mirror,
  tip: CommitSha,
  commits: readonly CommitSha[],
  signal?: AbortSignal,
): Promise<CommitSha[]> {
  const stdin = `${[`^${tip}`, ...commits].join('\n')}\n`;
  const { stdout } = await mirror.git(['rev-list', '--stdin'], { stdin, signal });
  return stdout.toString('latin1').split('\n');
}

export const isObjectName = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

/** Messages section of `-z`: number of paths, the paths, a type, a text; and again. See git-merge-tree(1). */
function pathsInMessages(fields: readonly string[]): string[] {
  const paths: string[] = [];
  for (let i = 0; i < fields.length; ) {
    const count = Number.parseInt(fields[i] ?? '', 10);
    if (!Number.isInteger(count)) break;
    const type = fields[i + 1 + count] ?? '';
    if (type.startsWith('CONFLICT')) paths.push(...fields.slice(i + 1, i + 1 + count));
    i += count + 3;
  }
  return paths;
}
