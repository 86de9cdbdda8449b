/** The commits that a merged request becomes, by strategy. All are the host's own, with its trailers. */
import { landingMessage } from '../../shared/base/commit-message.ts';
import type { MergeRequest } from '../../shared/contracts/merge.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { NewCommit } from '../git/commit-object.ts';
import type { Mirror } from '../git/contract.ts';

/** Work of more commits than this, or with merges in it, lands as one. */
const MAX_COMMITS = 50;
/** Of the list in a squashed commit's message. */
const MAX_LISTED = 20;

type Landing = {
  entry: MergeRequest;
  /** What it lands on: the remote's tip with all that was merged before it. */
  tip: CommitSha;
  /** The tree of tip and work merged. */
  tree: string;
  /** The work's own. */
  workTree: string;
  /** Whether the work's base is in the branch's history. */
  baseOnBranch: boolean;
  /** Of all commits. */
  at: Date;
};
type Committing = { mirror: Mirror; commit: (commit: NewCommit) => Promise<CommitSha>; signal?: AbortSignal };

/** Writes them to the mirror. @returns the branch's next tip: a descendant of `tip` with exactly `tree`. */
export async function commitLanding(by: Committing, landing: Landing): Promise<CommitSha> {
  const { mirror, signal } = by;
  const { entry, tip, tree, baseOnBranch } = landing;
  const one = (body = entry.body): Promise<CommitSha> =>
    commit(by, landing, { tree, parents: [tip], subject: entry.subject, body });
  switch (entry.strategy ?? 'rebase') {
    case 'rebase':
      return one();
    case 'squash':
      return one(withList(entry.body, await ownCommits(mirror, entry, signal)));
    case 'fast-forward':
      return entry.base === tip ? replay(by, landing, await ownCommits(mirror, entry, signal)) : one();
    case 'merge-commit': {
      // Anything else would bring a history back that the branch was rewritten without.
      if (!baseOnBranch) return one();
      const work = await replay(by, landing, await ownCommits(mirror, entry, signal));
      return commit(by, landing, { tree, parents: [tip, work], subject: `Merge ${entry.subject}`, body: entry.body });
    }
  }
}

type OwnCommit = { tree: string; subject: string; body: string };

/** What the work was made of, oldest first: its line of commits from the base on; empty when it is not one line. */
async function ownCommits(mirror: Mirror, entry: MergeRequest, signal?: AbortSignal): Promise<OwnCommit[]> {
  const limit = `--max-count=${MAX_COMMITS + 1}`;
  const format = '--format=%H%x1f%P%x1f%T%x1f%s%x1f%b';
  const range = [entry.commit, `^${entry.base}`];
  const { stdout } = await mirror.git(['log', '-z', '--topo-order', limit, format, ...range, '--'], { signal });
  const rows = stdout
    .toString('utf8')
    .split('\0')
    .filter((row) => row !== '');
  if (rows.length > MAX_COMMITS) return [];
  const line: OwnCommit[] = [];
  let parent: string = entry.base;
  for (const row of rows.toReversed()) {
    const [sha = '', parents, tree = '', subject = '', ...body] = row.split('\x1f');
    if (parents !== parent) return [];
    line.push({ tree, subject, body: body.join('') });
    parent = sha;
  }
  return line;
}

/** The line again on the work's base, by the host. The last commit has the request's message. */
async function replay(by: Committing, landing: Landing, line: readonly OwnCommit[]): Promise<CommitSha> {
  const { entry, workTree } = landing;
  let parent = entry.base;
  for (const { tree, subject, body } of line.slice(0, -1)) {
    parent = await commit(by, landing, { tree, parents: [parent], subject, body });
  }
  const { subject, body } = entry;
  return commit(by, landing, { tree: workTree, parents: [parent], subject, body });
}

function commit(
  by: Committing,
  { entry, at }: Landing,
  made: { tree: string; parents: CommitSha[]; subject: string; body: string },
): Promise<CommitSha> {
  const { tree, parents, subject, body } = made;
  const { workflowId: task, firstRunId: change } = entry.requester;
  return by.commit({
    tree,
    parents,
    message: landingMessage({ subject, body, task, change, released: entry.released }),
    author: entry.author,
    at,
  });
}

function withList(body: string, line: readonly OwnCommit[]): string {
  if (line.length < 2) return body;
  const listed = line.slice(0, MAX_LISTED).map(({ subject }) => `* ${subject}`);
  if (line.length > MAX_LISTED) listed.push(`* and ${line.length - MAX_LISTED} more`);
  return `${body}\n\n${listed.join('\n')}`;
}
