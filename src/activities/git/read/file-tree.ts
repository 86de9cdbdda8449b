/** A repository's files as an indented tree of bounded size: folders that do not fit are folded to a count. Pure. */
import { byteLength, escapeControls } from '../../support/text.ts';

type Folder = { name: string; depth: number; files: string[]; folders: Map<string, Folder>; count: number };

/**
 * @param paths files relative to the root, `/` between components, in any order.
 * @param maxBytes about how large the tree may become; the outer folders are opened first, small ones before large.
 */
export function renderTree(paths: readonly string[], maxBytes: number): string {
  const root = build(paths);
  const open = new Set<Folder>([root]);
  let left = maxBytes - cost(root);
  const waiting = [...root.folders.values()];
  while (waiting.length > 0) {
    waiting.sort((a, b) => a.depth - b.depth || a.count - b.count);
    const folder = waiting.shift();
    if (folder === undefined || cost(folder) > left) continue;
    left -= cost(folder);
    open.add(folder);
    waiting.push(...folder.folders.values());
  }
  const rows: string[] = [];
  render(root, open, rows);
  return capLines(rows, maxBytes);
}

function build(paths: readonly string[]): Folder {
  const root: Folder = { name: '', depth: -1, files: [], folders: new Map(), count: 0 };
  for (const path of paths) {
    const parts = path.split('/');
    const file = parts.pop() ?? '';
    let at = root;
    at.count++;
    for (const name of parts) {
      let next = at.folders.get(name);
      if (next === undefined) {
        next = { name, depth: at.depth + 1, files: [], folders: new Map(), count: 0 };
        at.folders.set(name, next);
      }
      at = next;
      at.count++;
    }
    at.files.push(file);
  }
  return root;
}

const indent = (depth: number): string => '  '.repeat(depth);

/** Bytes that opening a folder adds: a line for each entry. */
const cost = (folder: Folder): number =>
  [...folder.files, ...folder.folders.keys()].reduce((sum, name) => sum + byteLength(name) + 2 * folder.depth + 20, 0);

function render(folder: Folder, open: ReadonlySet<Folder>, rows: string[]): void {
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  for (const sub of [...folder.folders.values()].sort(byName)) {
    const folded = open.has(sub) ? '' : ` (${sub.count} ${sub.count === 1 ? 'file' : 'files'}, folded)`;
    rows.push(`${indent(sub.depth)}${escapeControls(sub.name)}/${folded}`);
    if (open.has(sub)) render(sub, open, rows);
  }
  for (const file of [...folder.files].sort()) rows.push(`${indent(folder.depth + 1)}${escapeControls(file)}`);
}

/** As many lines as fit, with a note of how many do not. */
export function capLines(rows: readonly string[], maxBytes: number): string {
  let bytes = 0;
  for (const [i, line] of rows.entries()) {
    bytes += byteLength(line) + 1;
    if (bytes > maxBytes) return [...rows.slice(0, i), `[… ${rows.length - i} more lines]`].join('\n');
  }
  return rows.join('\n');
}
