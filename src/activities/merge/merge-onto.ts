/** One three-way merge in the mirror, without a work tree: git's merge-ort through `merge-tree --write-tree`. */
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';

export type Merged =
  | { kind: 'clean'; tree: string }
  /** A content conflict as git reports it. At least one file. */
  | { kind: 'conflict'; files: string[] };

/** The committer of the helper commits below, which no ref ever has. */
const HELPER = { name: 'AgentSwarm', email: 'agentswarm@localhost' };

/**
 * Merges what `work` changed since `base` onto `tip`.
 * @throws GitError for everything that is not a content conflict.
 */
export async function mergeOnto(
  mirror: Mirror,
  { tip, base, work }: { tip: CommitSha; base: CommitSha; work: CommitSha },
  signal?: AbortSignal,
): Promise<Merged> {
  const [ours, theirs] = await withMergeBase(mirror, { tip, base, work }, signal);
  const argv = ['merge-tree', '--write-tree', '-z', '--name-only', '--messages', ours, theirs];
  const { stdout, code, stderr } = await mirror.git(argv, { ok: [0, 1], signal });
  const fields = stdout.toString('utf8').split('\0');
  const tree = fields[0] ?? '';
  // git also ends with 1 when it cannot resolve a name.
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(tree)) {
    throw new Error(`git merge-tree of ${work} onto ${tip} in ${mirror.dir} named no tree: ${stderr.slice(-1_000)}`);
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
 * `merge-tree --merge-base` came with git 2.40. Where `base` is not what ancestry gives (the branch was rewritten,
 * or the work was merged by hand), commits with the same trees on top of `base` stand in.
 */
async function withMergeBase(
  mirror: Mirror,
  { tip, base, work }: { tip: CommitSha; base: CommitSha; work: CommitSha },
  signal?: AbortSignal,
): Promise<[CommitSha, CommitSha]> {
  const { stdout } = await mirror.git(['merge-base', '--all', tip, work], { ok: [0, 1], signal });
  if (stdout.toString('latin1').trim() === base) return [tip, work];
  const onBase = async (commit: CommitSha): Promise<CommitSha> =>
    mirror.commitTree({ tree: await mirror.treeOf(commit), parents: [base], message: 'merge helper', author: HELPER });
  return [await onBase(tip), await onBase(work)];
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
