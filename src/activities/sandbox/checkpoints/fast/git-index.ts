/**
 * Git's index (gitformat-index) as the trees that it stands for: what `git write-tree` does, without its process.
 * The index is the host's own; what is not plain in it is left to git.
 */
import { createHash } from 'node:crypto';
import { normalize } from 'node:path/posix';

export type IndexEntry = { path: Buffer; mode: number; name: Buffer };
export type GitIndex = {
  /** In git's order: by the bytes of their paths. */
  entries: readonly IndexEntry[];
  /** Directories whose trees git knows already, by path; '' is the root. */
  known: ReadonlyMap<string, { entries: number; name: Buffer }>;
};

const STAT_BYTES = 40;
const HEADER_BYTES = 12;
const STAGE = 0x3000;
const EXTENDED = 0x4000;
const LINK = 0o160000;
const MODES = new Set([0o100644, 0o100755, 0o120000, LINK]);

/** Whether an entry is a commit of another repository. */
export const isGitlink = ({ mode }: IndexEntry): boolean => mode === LINK;

/**
 * @param nameBytes of an object's name: 20 or 32.
 * @returns null for what git may write and this does not read: other versions, conflicts, entries that are no
 *   files, extensions that change what entries mean; also for what is damaged.
 */
export function readIndex(file: Buffer, nameBytes: 20 | 32): GitIndex | null {
  const end = file.length - nameBytes;
  if (end < HEADER_BYTES || file.toString('latin1', 0, 4) !== 'DIRC' || ![2, 3].includes(file.readUInt32BE(4)))
    return null;
  const sum = createHash(nameBytes === 20 ? 'sha1' : 'sha256')
    .update(file.subarray(0, end))
    .digest();
  if (!sum.equals(file.subarray(end))) return null;
  const entries: IndexEntry[] = [];
  let at = HEADER_BYTES;
  for (let left = file.readUInt32BE(8); left > 0; left--) {
    const pathAt = at + STAT_BYTES + nameBytes + 2;
    if (pathAt >= end) return null;
    const mode = file.readUInt32BE(at + 24);
    const pathEnd = file.indexOf(0, pathAt);
    if (pathEnd < 0 || pathEnd >= end || !MODES.has(mode)) return null;
    if ((file.readUInt16BE(pathAt - 2) & (STAGE | EXTENDED)) !== 0) return null;
    const name = file.subarray(at + STAT_BYTES, at + STAT_BYTES + nameBytes);
    entries.push({ path: file.subarray(pathAt, pathEnd), mode, name });
    // To a multiple of eight, with one to eight NULs.
    at += (pathEnd - at + 8) & ~7;
  }
  let known: GitIndex['known'] = new Map();
  while (at + 8 <= end) {
    const kind = file.toString('latin1', at, at + 4);
    const size = file.readUInt32BE(at + 4);
    const content = file.subarray(at + 8, at + 8 + size);
    at += 8 + size;
    if (at > end) return null;
    if (kind === 'TREE') known = readKnown(content, nameBytes);
    // Those that must be understood begin with another letter.
    else if (!/^[A-Z]/.test(kind)) return null;
  }
  return at === end ? { entries, known } : null;
}

/** The extension TREE: path, NUL, number of entries (-1: not known), space, number of subtrees, newline, name. */
function readKnown(content: Buffer, nameBytes: number): GitIndex['known'] {
  const known = new Map<string, { entries: number; name: Buffer }>();
  let at = 0;
  const node = (parent: string): void => {
    const nul = content.indexOf(0, at);
    const newline = content.indexOf(0x0a, nul);
    if (nul < 0 || newline < 0) return;
    const path = parent + content.toString('latin1', at, nul);
    const [entries = -1, subtrees = 0] = content
      .toString('latin1', nul + 1, newline)
      .split(' ')
      .map(Number);
    at = newline + 1;
    if (entries >= 0) {
      known.set(path, { entries, name: content.subarray(at, at + nameBytes) });
      at += nameBytes;
    }
    for (let i = 0; i < subtrees && at < content.length; i++) node(path === '' ? '' : `${path}/`);
  };
  node('');
  return known;
}

const TREE_MODE = 0o40000;

/**
 * The trees of an index.
 * @returns the root's name, and the content of each tree that the index does not know, by name in hexadecimal; null
 *   where what the index knows of its directories is not true.
 */
export function treesOf(
  { entries, known }: GitIndex,
  hash: 'sha1' | 'sha256',
): { root: string; made: Map<string, Buffer> } | null {
  const made = new Map<string, Buffer>();
  let at = 0;
  /** Of the entries from `at` on that begin with the prefix, which ends in a slash unless it is empty. */
  const tree = (prefix: Buffer): Buffer => {
    const path = prefix.toString('latin1', 0, Math.max(0, prefix.length - 1));
    const before = known.get(path);
    // An empty directory has no tree; without one that is known it is looked at.
    if (before !== undefined && (before.entries > 0 || path === '')) {
      at += before.entries;
      return before.name;
    }
    const parts: Buffer[] = [];
    const add = (mode: number, file: Buffer, name: Buffer): void => {
      parts.push(Buffer.from(`${mode.toString(8)} `, 'latin1'), file, NUL, name);
    };
    for (let entry = entries[at]; entry !== undefined && startsWith(entry.path, prefix); entry = entries[at]) {
      const slash = entry.path.indexOf(SLASH, prefix.length);
      if (slash < 0) {
        add(entry.mode, entry.path.subarray(prefix.length), entry.name);
        at++;
      } else {
        add(TREE_MODE, entry.path.subarray(prefix.length, slash), tree(entry.path.subarray(0, slash + 1)));
      }
    }
    const content = Buffer.concat(parts);
    const name = createHash(hash).update(`tree ${content.length}\0`).update(content).digest();
    made.set(name.toString('hex'), content);
    return name;
  };
  const root = tree(Buffer.alloc(0)).toString('hex');
  return at === entries.length ? { root, made } : null;
}

/** Names the content of some paths: files, or all below directories. Changes when it does. */
export function digestOfPaths({ entries }: GitIndex, paths: readonly string[]): string {
  const hash = createHash('sha1');
  const prefixes = paths.map((path) =>
    Buffer.from(
      normalize(path)
        .replace(/^\.?\/|\/$/g, '')
        .replace(/^\.$/, ''),
    ),
  );
  for (const { path, mode, name } of entries) {
    const isIn = (each: Buffer): boolean =>
      each.length === 0 || (startsWith(path, each) && (path.length === each.length || path[each.length] === SLASH));
    if (!prefixes.some(isIn)) continue;
    hash
      .update(`${mode.toString(8)} `)
      .update(name)
      .update(path)
      .update(NUL);
  }
  return hash.digest('hex');
}

const SLASH = 0x2f;
const NUL = Buffer.alloc(1);

const startsWith = (path: Buffer, prefix: Buffer): boolean =>
  path.length >= prefix.length && path.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
