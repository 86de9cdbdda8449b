/** Reading files of one commit out of a mirror: plumbing, no checkout. Paths are literal and relative to the root. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import { isBinary } from '../../../shared/base/spec-files.ts';
import type { Mirror } from '../contract.ts';

export type TreeEntry = {
  /** As git writes it: 100644, 100755, 120000 a symbolic link, 040000 a folder, 160000 a submodule. */
  mode: string;
  oid: string;
  /** Bytes of a file; null for folders and submodules. */
  size: number | null;
  path: string;
};

const LS_TREE = ['--literal-pathspecs', 'ls-tree', '-z', '--full-tree'];

/** A path that a person or a model wrote, as git has it ('' is the root), or what is wrong with it. */
export function repositoryPath(path: string): { ok: true; path: string } | { ok: false; error: string } {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..'))
    return { ok: false, error: `"${path}" leads out of the repository: paths have no ".." here` };
  if (path.includes('\0')) return { ok: false, error: 'a path has no NUL' };
  return { ok: true, path: parts.join('/') };
}

/** The entry of a path at a commit, or null when there is none. The root is a folder. */
export async function entryAt(mirror: Mirror, commit: CommitSha, path: string): Promise<TreeEntry | null> {
  if (path === '') return { mode: '040000', oid: await mirror.treeOf(commit), size: null, path };
  const { stdout } = await mirror.git([...LS_TREE, '-l', commit, '--', path]);
  return parseEntries(stdout).find((entry) => entry.path === path) ?? null;
}

/** What is directly in a folder; `path` '' is the root. Paths of the entries are relative to the repository. */
export async function listFolder(mirror: Mirror, commit: CommitSha, path: string): Promise<TreeEntry[]> {
  const { stdout } = await mirror.git([...LS_TREE, '-l', commit, ...(path === '' ? [] : ['--', `${path}/`])]);
  return parseEntries(stdout);
}

/** All entries but folders, below a folder or at that very path; the root for ''. */
export async function listEntries(mirror: Mirror, commit: CommitSha, path: string): Promise<TreeEntry[]> {
  const { stdout } = await mirror.git([...LS_TREE, '-r', '-l', commit, ...(path === '' ? [] : ['--', path])]);
  return parseEntries(stdout);
}

/** All files (submodules too) below a folder or of that very path, in git's order; not UTF-8 is decoded lossily. */
export async function listFiles(mirror: Mirror, commit: CommitSha, path = ''): Promise<string[]> {
  const { stdout } = await mirror.git([...LS_TREE, '-r', '--name-only', commit, ...(path === '' ? [] : ['--', path])]);
  return stdout
    .toString()
    .split('\0')
    .filter((line) => line !== '');
}

export async function readBlob(mirror: Mirror, oid: string): Promise<Buffer> {
  return (await mirror.git(['cat-file', 'blob', oid])).stdout;
}

/** The text of a file of at most `maxBytes`; null when it is missing, no file, larger or binary. */
export async function readText(
  mirror: Mirror,
  commit: CommitSha,
  path: string,
  maxBytes = 4_000_000,
): Promise<string | null> {
  const entry = await entryAt(mirror, commit, path);
  if (entry === null || entry.size === null || entry.size > maxBytes) return null;
  const bytes = await readBlob(mirror, entry.oid);
  return isBinary(bytes) ? null : bytes.toString();
}

function parseEntries(stdout: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (const record of stdout.toString().split('\0')) {
    const found = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-)\t([\s\S]+)$/.exec(record);
    if (found === null) continue;
    const [, mode = '', oid = '', size = '-', path = ''] = found;
    entries.push({ mode, oid, size: size === '-' ? null : Number(size), path });
  }
  return entries;
}
