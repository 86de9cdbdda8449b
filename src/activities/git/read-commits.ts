/** Tree and parents of many commits, with one process. */
import { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from './contract.ts';

export type CommitFacts = { tree: string; parents: CommitSha[] };

/** @returns those of the commits that the mirror has. */
export async function readCommits(
  mirror: Mirror,
  commits: readonly CommitSha[],
  signal?: AbortSignal,
): Promise<Map<CommitSha, CommitFacts>> {
  const found = new Map<CommitSha, CommitFacts>();
  if (commits.length === 0) return found;
  const argv = [
    'rev-list',
    '--no-walk=unsorted',
    '--ignore-missing',
    '--no-commit-header',
    '--format=%H %T %P',
    '--stdin',
  ];
  const stdin = `${[...new Set(commits)].map((commit) => CommitSha.parse(commit)).join('\n')}\n`;
  const { stdout } = await mirror.git(argv, { stdin, signal });
  for (const row of stdout.toString('latin1').split('\n')) {
    const [commit, tree, ...parents] = row.trim().split(' ');
    if (commit === undefined || tree === undefined) continue;
    found.set(CommitSha.parse(commit), { tree, parents: parents.map((parent) => CommitSha.parse(parent)) });
  }
  return found;
}
