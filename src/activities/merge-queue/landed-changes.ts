/** Which changes are on a branch already, by their `Swarm-Change` trailer: what makes landing idempotent. */
import { CHANGE_TRAILER, CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';

/**
 * Searches what came onto the branch since the oldest of `bases`, which are in the mirror.
 * A trailer counts in the last paragraph only and alone: landing commits get theirs from the host, after
 * everything like it was taken out of the agent's words.
 * @returns the newest commit of each change.
 */
export async function landedChanges(
  mirror: Mirror,
  tip: CommitSha,
  bases: readonly CommitSha[],
  signal?: AbortSignal,
): Promise<Map<string, CommitSha>> {
  const since = await commonAncestor(mirror, tip, [...new Set(bases)], signal);
  if (since === tip) return new Map();
  const format = `%H%x1f%(trailers:key=${CHANGE_TRAILER},valueonly,unfold,separator=%x1e)`;
  const range = since === null ? [tip] : [tip, `^${since}`];
  const { stdout } = await mirror.git(['log', '-z', `--format=${format}`, ...range, '--'], { signal });
  const found = new Map<string, CommitSha>();
  for (const row of stdout.toString('utf8').split('\0')) {
    const [commit, change] = row.trim().split('\x1f');
    if (commit === undefined || change === undefined || change === '' || change.includes('\x1e')) continue;
    if (!found.has(change)) found.set(change, CommitSha.parse(commit));
  }
  return found;
}

async function commonAncestor(
  mirror: Mirror,
  tip: CommitSha,
  bases: readonly CommitSha[],
  signal?: AbortSignal,
): Promise<CommitSha | null> {
  const [first] = bases;
  if (first === undefined) return null;
  // What the branch has and one commit has not is the same as what it has since they parted.
  if (bases.length === 1) return first;
  const { stdout, code } = await mirror.git(['merge-base', '--octopus', tip, ...bases], { ok: [0, 1], signal });
  return code === 0 ? CommitSha.parse(stdout.toString('latin1').trim()) : null;
}
