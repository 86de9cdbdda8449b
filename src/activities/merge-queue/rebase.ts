/**
 * What is tried with work that conflicts before an agent is asked: it is rebased onto the landings since it began, one
 * after the other, as its author would have done who had pulled after each of them.
 *
 * One merge with the tip sees only what the branch has become. Where the branch took the very same lines and went on
 * from there, or renamed a file and then rewrote it, that is a conflict; each of the merges on the way is none. As each
 * of them is clean, nothing that others have landed is taken away (see linesLost).
 */
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { helperCommit, isObjectName, type Merge, type Merged } from './merge-onto.ts';
import type { Merger } from './merger.ts';
import { differsWithinConflicts } from './within-conflicts.ts';

/** What has met more landings of its files is not worth the time of those that wait behind it. */
const MAX_LANDINGS = 256;
/** Landings that it conflicts with are passed over, as a later one may have taken them back; so many of them. */
const MAX_CONFLICTS = 4;
/** Of a command line. */
const MAX_PATHS = 500;
const MAX_PATHS_CHARS = 60_000;

type Landing = { commit: CommitSha; tree: string };

/**
 * @param merge what has conflicted, of work whose base is on the branch.
 * @returns the tree of the work on the tip; undefined where it conflicts all the same, or where that would change
 * anything that is not in conflict: the same lines landed and taken back again may be wanted now.
 * @throws as the merger, for everything that is not a content conflict.
 */
export async function rebaseOver(
  by: { mirror: Mirror; merger: Merger; signal: AbortSignal | undefined },
  merge: Merge,
  conflict: Extract<Merged, { kind: 'conflict' }>,
): Promise<string | undefined> {
  const { mirror, merger, signal } = by;
  const { tip, tipTree, base, work, workTree } = merge;
  const paths = [...new Set([...conflict.files, ...(await mirror.changedFiles(base, work))])];
  const landings = await landingsOf(mirror, { base, tip, paths }, signal);
  let [on, tree] = [base, workTree];
  let conflicts = 0;
  for (const landing of [...landings, { commit: tip, tree: tipTree }]) {
    // Nothing on the way: this merge is the one that has conflicted.
    if (landing.commit === tip && on === base) return undefined;
    const moved = await merger.commit(helperCommit(tree, on));
    const merged = await merger.merge({
      tip: landing.commit,
      tipTree: landing.tree,
      base: on,
      work: moved,
      workTree: tree,
      straight: true,
    });
    if (merged.kind === 'clean') [on, tree] = [landing.commit, merged.tree];
    else if (++conflicts >= MAX_CONFLICTS) return undefined;
  }
  if (on !== tip) return undefined;
  return (await differsWithinConflicts(mirror, conflict, { tip: tipTree, tree }, signal)) ? tree : undefined;
}

/** Those between base and tip that touched the paths, oldest first; none when they are too many. */
async function landingsOf(
  mirror: Mirror,
  { base, tip, paths }: { base: CommitSha; tip: CommitSha; paths: readonly string[] },
  signal?: AbortSignal,
): Promise<Landing[]> {
  if (paths.length > MAX_PATHS || paths.join('').length > MAX_PATHS_CHARS) return [];
  const argv = [
    '--literal-pathspecs',
    'rev-list',
    '--first-parent',
    '--ancestry-path',
    `--max-count=${MAX_LANDINGS + 1}`,
    '--no-commit-header',
    '--format=%H %T',
    tip,
    `^${base}`,
    '--',
    ...paths,
  ];
  const { stdout } = await mirror.git(argv, { signal });
  const rows = stdout.toString('latin1').split('\n').filter(Boolean);
  if (rows.length > MAX_LANDINGS) return [];
  return rows
    .map((row) => row.split(' '))
    .flatMap(([commit = '', tree = '']) => (isObjectName(commit) && isObjectName(tree) ? [{ commit, tree }] : []))
    .filter(({ commit }) => commit !== tip)
    .reverse();
}
