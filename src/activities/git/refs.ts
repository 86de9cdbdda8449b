/** Where a run starts and where it lands. */
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from './contract.ts';
import { GitError, remoteWords } from './errors.ts';
import { branchRef, checkRef } from './names.ts';
import { pushBranch } from './push.ts';

export type Base = {
  commit: CommitSha;
  /** The branch, when it was one (the default branch included). */
  branch: string | null;
};

/**
 * @param base a branch, a tag, a full ref or a full commit of the remote; default: what its HEAD names.
 * @throws terminal RepositoryUnusable when it is not there; the message names the branches that are.
 */
export async function resolveBase(mirror: Mirror, base?: string): Promise<Base> {
  if (base === undefined) return resolveHead(mirror);
  if (CommitSha.safeParse(base).success) return resolveCommit(mirror, base);
  const ref = base.startsWith('refs/') ? base : branchRef(base);
  checkRef(ref);
  if (ref.startsWith('refs/heads/')) {
    const branch = ref.slice('refs/heads/'.length);
    if ((await mirror.readRemoteRef(ref)) !== null) return { commit: await mirror.fetchBranch(branch), branch };
  }
  const tag = base.startsWith('refs/') ? ref : `refs/tags/${base}`;
  const tagged = await mirror.readRemoteRef(tag);
  if (tagged !== null) return { commit: await fetchCommit(mirror, tag, tagged), branch: null };
  throw await missing(mirror, base);
}

async function resolveHead(mirror: Mirror): Promise<Base> {
  const { location } = mirror.repo;
  const { stdout } = await mirror.git(['ls-remote', '--symref', '--', location, 'HEAD']);
  const text = stdout.toString('utf8');
  const branch = /^ref: refs\/heads\/(.+)\tHEAD$/m.exec(text)?.[1];
  const commit = /^([0-9a-f]+)\tHEAD$/m.exec(text)?.[1];
  if (commit !== undefined && branch !== undefined) return { commit: await mirror.fetchBranch(branch), branch };
  if (commit !== undefined) return { commit: await fetchCommit(mirror, 'HEAD', CommitSha.parse(commit)), branch: null };
  throw await missing(mirror, 'HEAD');
}

async function resolveCommit(mirror: Mirror, commit: CommitSha): Promise<Base> {
  const present = await mirror.git(['cat-file', '-e', `${commit}^{commit}`], { ok: [0, 1, 128] });
  if (present.code === 0) return { commit, branch: null };
  try {
    return { commit: await fetchCommit(mirror, commit, commit), branch: null };
  } catch (error) {
    if (!(error instanceof GitError) || error.kind === 'network' || error.kind === 'credentials') throw error;
    throw terminal(
      FailureType.RepositoryUnusable,
      `commit ${commit} cannot be had from ${mirror.repo.location}: ${remoteWords(error.output)}`,
      'Name a branch that contains it.',
      error,
    );
  }
}

/** Fetches one ref and peels what it has (a tag) to its commit. */
async function fetchCommit(mirror: Mirror, ref: string, object: string): Promise<CommitSha> {
  const { location } = mirror.repo;
  await mirror.git(['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', location, ref]);
  const { stdout } = await mirror.git(['rev-parse', '--verify', `${object}^{commit}`]);
  return CommitSha.parse(stdout.toString('utf8').trim());
}

async function missing(mirror: Mirror, base: string): Promise<Error> {
  const { location } = mirror.repo;
  const heads = [...(await mirror.listRemoteRefs('refs/heads/')).keys()].map((ref) => ref.slice('refs/heads/'.length));
  if (heads.length === 0) {
    return terminal(
      FailureType.RepositoryUnusable,
      `${location} has no branch yet, so there is nothing to start from`,
      'Push a first commit to it.',
    );
  }
  const near = nearestFirst(base, heads).slice(0, 10);
  const more = heads.length > near.length ? ` and ${heads.length - near.length} more` : '';
  const message =
    base === 'HEAD'
      ? `the HEAD of ${location} names no branch that exists`
      : `${location} has no branch or tag "${base}"`;
  return terminal(FailureType.RepositoryUnusable, message, `Name the base: it has ${near.join(', ')}${more}.`);
}

/** Names in the order of how likely each was meant: by shared pairs of letters (Dice's coefficient). */
export function nearestFirst(meant: string, names: readonly string[]): string[] {
  const pairs = (text: string): Set<string> => {
    const lower = text.toLowerCase();
    return new Set(Array.from({ length: Math.max(0, lower.length - 1) }, (_, i) => lower.slice(i, i + 2)));
  };
  const of = pairs(meant);
  const score = (name: string): number => {
    const other = pairs(name);
    const shared = [...other].filter((pair) => of.has(pair)).length;
    return other.size + of.size === 0 ? 0 : (2 * shared) / (other.size + of.size);
  };
  return names
    .map((name) => ({ name, score: score(name) }))
    .sort((a, b) => b.score - a.score || a.name.localeCompare(b.name))
    .map(({ name }) => name);
}

/**
 * Creates the branch at `base` unless it is there, by compare-and-swap; that shows the right to create refs.
 * @returns the branch's tip on the remote, and whether this call made it.
 * @throws terminal PushRefused with the remote's words.
 */
export async function createBranch(
  mirror: Mirror,
  target: string,
  base: CommitSha,
): Promise<{ created: boolean; tip: CommitSha }> {
  const ref = branchRef(target);
  checkRef(ref);
  const there = await mirror.readRemoteRef(ref);
  if (there !== null) return { created: false, tip: there };
  const answer = await pushBranch(mirror, { branch: target, expected: null, next: base });
  const tip = await mirror.readRemoteRef(ref);
  if (tip !== null) return { created: tip === base && answer.kind !== 'stale', tip };
  switch (answer.kind) {
    case 'refused':
      throw terminal(
        FailureType.PushRefused,
        `${mirror.repo.location} refused to create branch ${target}:\n${answer.reason}`,
        'Allow the worker to push to this branch, or name another one.',
      );
    case 'unclear':
      throw answer.error;
    case 'pushed':
    case 'stale':
      throw new Error(`${mirror.repo.location} has no branch ${target} after it was created (${answer.kind})`);
  }
}
