/** The part of a repository's history that a sandbox elsewhere gets: enough for its commits, cut off below. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';

/** A pack, and the commits in it whose parents are not there: a shallow repository, in git's words. */
export type Part = { pack: Buffer; shallow: string[] };

/**
 * Packs the commits with their trees, and what is between them: back to where their histories meet, which is what a
 * merge of them needs; a single commit comes alone. What the commits of `have` hold is left out.
 * @throws GitError; also when the pack has more than 256 MiB, which is all that is taken of a process.
 */
export async function packHistory(
  mirror: Mirror,
  options: { commits: readonly CommitSha[]; have?: readonly CommitSha[]; signal?: AbortSignal },
): Promise<Part> {
  const { have = [], signal } = options;
  const git = (argv: string[], stdin?: string) =>
    mirror.git(argv, { ...(stdin === undefined ? {} : { stdin }), ...(signal === undefined ? {} : { signal }) });
  const commits = [...new Set(options.commits)];
  const meeting = commits.length === 1 ? commits : await mergeBases(mirror, commits);
  const range = `${[...commits, ...meeting.map((commit) => `^${commit}`)].join('\n')}\n`;
  const listed = (await git(['rev-list', '--parents', '--stdin'], range)).stdout.toString('latin1');
  const parents = new Map(meeting.map((commit): [string, string[]] => [commit, []]));
  const cut = new Set<string>(meeting);
  for (const line of listed.split('\n').filter((each) => each !== '')) {
    const [commit = '', ...rest] = line.split(' ');
    parents.set(commit, rest);
  }
  for (const [commit, above] of parents) if (above.some((parent) => !parents.has(parent))) cut.add(commit);
  const shallow = [...cut];
  // What the sandbox has ends where it was cut: the histories below are not there to stand on.
  const revisions = [
    ...[...new Set([...shallow, ...have])].map((commit) => `--shallow ${commit}`),
    ...commits,
    ...have.map((commit) => `^${commit}`),
  ];
  const argv = ['pack-objects', '--revs', '--shallow', '--stdout', '-q', '--delta-base-offset'];
  return { pack: (await git(argv, `${revisions.join('\n')}\n`)).stdout, shallow };
}

/** All of the best, as a merge of criss-crossed histories wants them; none: their histories are strangers. */
async function mergeBases(mirror: Mirror, [first, ...others]: readonly CommitSha[]): Promise<CommitSha[]> {
  if (first === undefined) return [];
  const { stdout } = await mirror.git(['merge-base', '--all', first, ...others], { ok: [0, 1] });
  return stdout
    .toString('latin1')
    .split('\n')
    .filter((line) => line !== '') as CommitSha[];
}
