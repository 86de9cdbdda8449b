/** One three-way merge in the mirror, without a work tree: git's merge-ort through `merge-tree --write-tree`. */
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { GitError } from '../git/errors.ts';

export type Merged =
  | { kind: 'clean'; tree: string }
  /** A content conflict as git reports it. At least one file. */
  | { kind: 'conflict'; files: string[] };

/** The committer of the helper commits below, which no ref ever has. */
const HELPER = { name: 'AgentSwarm', email: 'agentswarm@localhost' };

export type Merge = {
  tip: CommitSha;
  base: CommitSha;
  work: CommitSha;
  /** Whether ancestry alone makes `base` the merge base: see ancestryOf(). */
  straight: boolean;
};

/**
 * Merges what `work` changed since `base` onto `tip`.
 * @throws GitError for everything that is not a content conflict.
 */
export async function mergeOnto(mirror: Mirror, merge: Merge, signal?: AbortSignal): Promise<Merged> {
  const { tip, base, work, straight } = merge;
  const [ours, theirs] = straight ? [tip, work] : await onBase(mirror, merge);
  const argv = ['merge-tree', '--write-tree', '-z', '--name-only', '--messages', ours, theirs];
  const { stdout, code, stderr } = await mirror.git(argv, { ok: [0, 1], signal });
  const fields = stdout.toString('utf8').split('\0');
  const tree = fields[0] ?? '';
  // git also ends with 1 when it cannot resolve a name; and a tree that it cannot read counts as empty for it, which
  // would come out as a conflict, or as a clean merge that deletes everything.
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(tree) || /^(?:error|fatal):/m.test(stderr)) {
    throw new GitError({ argv, on: mirror.dir, code, output: stderr.slice(-2_000) });
  }
  if (code === 0) return { kind: 'clean', tree };
  const end = fields.indexOf('', 1);
  const listed = fields.slice(1, end === -1 ? undefined : end);
  // Some directory renames conflict without any one file that does: the messages then name the paths.
  const files = listed.length > 0 ? listed : pathsInMessages(fields.slice(end + 1));
  const known = files.length > 0 ? files : await mirror.changedFiles(base, work);
  return { kind: 'conflict', files: [...new Set(known)] };
}

/**
 * `merge-tree --merge-base` came with git 2.40. Where ancestry does not give the base (the branch was rewritten),
 * commits with the same trees on top of it stand in.
 */
async function onBase(mirror: Mirror, { tip, base, work }: Merge): Promise<[CommitSha, CommitSha]> {
  const standIn = async (commit: CommitSha): Promise<CommitSha> =>
    mirror.commitTree({ tree: await mirror.treeOf(commit), parents: [base], message: 'merge helper', author: HELPER });
  return [await standIn(tip), await standIn(work)];
}

/**
 * `straight`: work whose only parent is its base, while the base is on the branch: its merge base with the tip, and
 * with all that is put on top of the tip, is the base. `astray`: commits, bases among them, that are not on the branch.
 * Two processes for a whole batch.
 */
export async function ancestryOf(
  mirror: Mirror,
  tip: CommitSha,
  entries: readonly { commit: CommitSha; base: CommitSha }[],
  signal?: AbortSignal,
): Promise<{ straight: Set<CommitSha>; astray: Set<CommitSha> }> {
  if (entries.length === 0) return { straight: new Set(), astray: new Set() };
  const lines = async (argv: string[], revs: string[]): Promise<string[]> => {
    const { stdout } = await mirror.git(argv, { stdin: `${revs.join('\n')}\n`, signal });
    return stdout.toString('latin1').split('\n');
  };
  const commits = entries.map(({ commit }) => commit);
  const parents = new Set(await lines(['rev-list', '--no-walk=unsorted', '--parents', '--stdin'], commits));
  const astray = new Set(await lines(['rev-list', '--stdin'], [`^${tip}`, ...entries.map(({ base }) => base)]));
  const straight = entries.filter(({ commit, base }) => parents.has(`${commit} ${base}`) && !astray.has(base));
  return { straight: new Set(straight.map(({ commit }) => commit)), astray };
}

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
