/** Brings the work of a batch into this host's mirror, and reads what merging needs to know of it. */
import type { MergeRequest } from '../../shared/contracts/merge.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { GitError } from '../git/errors.ts';
import { type CommitFacts, readCommits } from '../git/read-commits.ts';

/** How many refs go on one command line: a whole batch, of names below 200 characters. */
const REFS_AT_ONCE = 512;

export type Work = {
  /** Of the tip, and of every commit and base that is in the mirror. */
  commits: Map<CommitSha, CommitFacts>;
  /** Why, for each commit that the remote does not have any more: one lost commit must not stop a batch. */
  missing: Map<CommitSha, string>;
};

/**
 * @param known commits that were read already.
 * @throws GitError when the remote could not be asked.
 */
export async function fetchWork(
  mirror: Mirror,
  entries: readonly MergeRequest[],
  known: ReadonlyMap<CommitSha, CommitFacts>,
  signal?: AbortSignal,
): Promise<Work> {
  const commits = new Map(known);
  const missing = new Map<CommitSha, string>();
  const lacking = () => entries.filter(({ commit, base }) => !commits.has(commit) || !commits.has(base));
  const read = async (): Promise<void> => {
    const unread = lacking().flatMap(({ commit, base }) => [commit, base]);
    for (const [commit, facts] of await readCommits(mirror, unread, signal)) commits.set(commit, facts);
  };
  if (lacking().length > 1) {
    await fetchTogether(mirror, lacking());
    await read();
  }
  const alone = lacking();
  for (const { commit, base, ref } of alone) {
    try {
      if (!commits.has(commit)) await mirror.ensureCommit(commit, ref);
      // The work stands on its base, so whoever has the one got the other with it.
      if (!commits.has(base)) await mirror.ensureCommit(base, ref);
    } catch (error) {
      if (!(error instanceof GitError)) throw error;
      if (error.kind !== 'not-found' && error.code !== 0) throw error;
      const now = await mirror.readRemoteRef(ref);
      missing.set(commit, `commit ${commit} is not on the remote any more: ${ref} is ${now ?? 'deleted'}`);
    }
  }
  if (alone.length > 0) await read();
  return { commits, missing };
}

/** One ref that is gone fails all of a fetch: then each is fetched by itself. */
async function fetchTogether(mirror: Mirror, entries: readonly MergeRequest[]): Promise<void> {
  const refs = [...new Set(entries.map(({ ref }) => ref))];
  try {
    for (let i = 0; i < refs.length; i += REFS_AT_ONCE) await mirror.fetchWork(refs.slice(i, i + REFS_AT_ONCE));
  } catch (error) {
    if (!(error instanceof GitError) || error.kind !== 'not-found') throw error;
  }
}
