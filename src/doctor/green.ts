/** What a remote says of its green commits, for the command: one question to the remote, no mirror, no server. */
import { branchOfGreenRef } from '../shared/base/ids.ts';
import { createGit } from '../activities/git/run-git.ts';

export type GreenBranch = {
  branch: string;
  /** The newest commit that is known to pass its checks; null: none is. */
  green: string | null;
  /** The branch's tip; null: there is no such branch any more. */
  tip: string | null;
};

/**
 * @param location as `repositoryOf` gives it.
 * @param branch default: the remote's HEAD first, then every branch that has a green commit.
 * @throws with git's words when the remote cannot be read.
 */
export async function readGreen(request: {
  location: string;
  branch?: string | undefined;
  env: NodeJS.ProcessEnv;
}): Promise<GreenBranch[]> {
  const git = createGit({ env: request.env });
  const { location } = request;
  const { stdout } = await git(['ls-remote', '--symref', '--', location], { remote: location });
  const heads = new Map<string, string>();
  const greens = new Map<string, string>();
  let head: string | undefined;
  for (const line of stdout.toString('utf8').split('\n')) {
    const symref = /^ref: refs\/heads\/(.+)\tHEAD$/.exec(line)?.[1];
    if (symref !== undefined) head = symref;
    const [commit = '', ref = ''] = line.split('\t');
    if (ref.startsWith('refs/heads/')) heads.set(ref.slice('refs/heads/'.length), commit);
    const green = branchOfGreenRef(ref);
    if (green !== null) greens.set(green, commit);
  }
  const branches =
    request.branch === undefined ? [...(head === undefined ? [] : [head]), ...greens.keys()] : [request.branch];
  return [...new Set(branches)].map((branch) => ({
    branch,
    green: greens.get(branch) ?? null,
    tip: heads.get(branch) ?? null,
  }));
}
