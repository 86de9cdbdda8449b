/** Whether one merge differs from another only where that one conflicts. */
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { plainPath } from './conflicts.ts';
import type { Merged } from './merge-onto.ts';
import { changes, contents, WHOLE_FILE } from './tree-diff.ts';

type Sides = { ours: CommitSha; theirs: CommitSha };

/**
 * What git merged by itself in `conflict` is the same in `tree`: whole files that do not conflict, and of those that do
 * the lines outside of the markers. A file that conflicts without markers (it was deleted, say) may be anything.
 * A file that `conflict` has as it is on the tip may have become more: where the branch has renamed it and changed it
 * much since, one merge does not see what is to be merged into it, and several do.
 * @param tip whatever `ours` of the conflict has as its tree. Binary and large files that differ are never within.
 */
export async function differsWithinConflicts(
  mirror: Mirror,
  conflict: Extract<Merged, { kind: 'conflict' }>,
  { tip, tree }: { tip: string; tree: string },
  signal?: AbortSignal,
): Promise<boolean> {
  const { sides } = conflict;
  const conflicting = new Set(conflict.files.flatMap((path) => [path, plainPath(path, sides)]));
  const differing = [...(await changes(mirror, conflict.tree, tree, signal))];
  const merged = await changes(mirror, tip, conflict.tree, signal);
  const read = await contents(
    mirror,
    differing.flatMap(([, { from, to }]) => [from, to]),
    signal,
  );
  return differing.every(([path, { from, to }]) => {
    if (!conflicting.has(path)) return !merged.has(path);
    const [before, after] = [read(from), read(to)];
    if (before?.includes(WHOLE_FILE) || after?.includes(WHOLE_FILE)) return false;
    return before === undefined || keepsWhatMerged(before, after ?? '', sides);
  });
}

/** @param merged a file with conflict markers, as git merge-tree writes it; without any, all of it is in conflict. */
export function keepsWhatMerged(merged: string, result: string, { ours, theirs }: Sides): boolean {
  const begins = new RegExp(`^<{7,} ${ours}`);
  const ends = new RegExp(`^>{7,} ${theirs}`);
  const outside: string[] = [''];
  let inside = false;
  for (const line of merged.split(/(?<=\n)/)) {
    if (!inside && begins.test(line)) {
      inside = true;
      outside.push('');
    } else if (inside) {
      inside = !ends.test(line);
    } else {
      outside[outside.length - 1] += line;
    }
  }
  const [first = '', ...others] = outside;
  const last = others.pop();
  if (inside) return false;
  if (last === undefined) return true;
  if (!result.startsWith(first)) return false;
  let at = first.length;
  for (const part of others) {
    const found = result.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return result.length - at >= last.length && result.endsWith(last);
}
