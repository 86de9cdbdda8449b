/** Which files a merge conflicts in and how, from the machine output of git merge-tree. */
import type { Conflict } from '../../shared/contracts/conflict.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';

/** Conflicts go into histories, and to an agent that can look for itself. */
const MAX_CONFLICTS = 50;
const MAX_DETAIL_CHARS = 300;

/** From git's merge-ort.c: what each type of message is about, the more telling of two for one file first. */
const KINDS: readonly [prefix: string, kind: Conflict['kind']][] = [
  ['submodule', 'submodule'],
  ['binary', 'binary'],
  ['rename/rename', 'rename/rename'],
  ['rename/delete', 'rename/delete'],
  ['rename involved', 'rename/add'],
  ['modify/delete', 'modify/delete'],
  ['file/directory', 'file/directory'],
  ['distinct modes', 'mode'],
  ['file in way of directory', 'directory'],
  ['directory rename', 'directory'],
  ['contents', 'content'],
];

/**
 * Merges once more and listens to what git says of it: conflicts are rare, so that ordinary merges need not pay for it.
 * @param sides the two commits as they were merged. @returns at most 50, one for each file.
 */
export async function describeConflicts(
  mirror: Mirror,
  { ours, theirs }: { ours: CommitSha; theirs: CommitSha },
  signal?: AbortSignal,
): Promise<Conflict[]> {
  const argv = ['merge-tree', '--write-tree', '-z', '--messages', ours, theirs];
  const { stdout } = await mirror.git(argv, { ok: [0, 1], signal });
  return parseConflicts(stdout.toString('utf8'), { ours, theirs });
}

/** @param output of `git merge-tree --write-tree -z --messages`, see git-merge-tree(1). */
export function parseConflicts(output: string, sides: { ours: CommitSha; theirs: CommitSha }): Conflict[] {
  const fields = output.split('\0');
  const end = fields.indexOf('', 1);
  const stages = new Map<string, Set<string>>();
  for (const row of fields.slice(1, end === -1 ? 1 : end)) {
    const [, stage = '', path = ''] = /^\d+ [0-9a-f]+ (\d)\t([\s\S]*)$/.exec(row) ?? [];
    stages.set(path, (stages.get(path) ?? new Set()).add(stage));
  }
  const found = new Map<string, { rank: number; conflict: Conflict }>();
  for (const { paths, type, text } of messages(fields.slice(end + 1))) {
    const rank = KINDS.findIndex(([prefix]) => type.startsWith(prefix));
    // git puts a file whose name is taken beside it, under the name of its side.
    const path = plainPath(paths.find((each) => plainPath(each, sides) === each) ?? paths[0] ?? '', sides);
    const kind = KINDS[rank]?.[1] ?? 'other';
    const added = kind === 'content' && stages.get(path)?.has('1') === false;
    const before = found.get(path);
    if (before !== undefined && order(before.rank) <= order(rank)) continue;
    const detail = inWords(text, sides);
    found.set(path, { rank, conflict: { path, kind: added ? 'add/add' : kind, ...(detail === '' ? {} : { detail }) } });
  }
  return [...found.values()].map(({ conflict }) => conflict).slice(0, MAX_CONFLICTS);
}

/** A path without the side that git appends when two things want one name: `a~<commit>` is `a`. */
export function plainPath(path: string, { ours, theirs }: { ours: CommitSha; theirs: CommitSha }): string {
  for (const side of [ours, theirs]) if (path.includes(`~${side}`)) return path.slice(0, path.indexOf(`~${side}`));
  return path;
}

const order = (rank: number): number => (rank === -1 ? KINDS.length : rank);

/** Number of paths, the paths, a type, a text; and again. Only what is a conflict. */
function messages(fields: readonly string[]): { paths: string[]; type: string; text: string }[] {
  const found: { paths: string[]; type: string; text: string }[] = [];
  for (let i = 0; i < fields.length; ) {
    const count = Number.parseInt(fields[i] ?? '', 10);
    if (!Number.isInteger(count)) break;
    const type = /^CONFLICT ?\((.*)\)$/.exec(fields[i + 1 + count] ?? '')?.[1];
    if (type !== undefined) {
      found.push({ paths: fields.slice(i + 1, i + 1 + count), type, text: fields[i + 2 + count] ?? '' });
    }
    i += count + 3;
  }
  return found;
}

/** Without what every message begins with; commits become sides. */
function inWords(text: string, { ours, theirs }: { ours: CommitSha; theirs: CommitSha }): string {
  return text
    .trim()
    .replace(/^CONFLICT ?\([^)]*\): /, '')
    .replaceAll(ours, 'the branch')
    .replaceAll(theirs, 'this work')
    .slice(0, MAX_DETAIL_CHARS);
}
