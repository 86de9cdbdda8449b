/** A spec that is a folder of this machine, by the same rules as one of the repository. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { bySpecOrder, isBinary, SPEC_LIMITS } from '../shared/base/spec-files.ts';
import { usageError } from './errors.ts';
import { cliText } from './text.ts';

/**
 * Its texts in order, paths relative to it. Links, what is no text, what is empty and files above the limit are left
 * out, as is git's own folder. Throws a usage error where it has no text, or more than a planner can be shown.
 */
export function specFolder(folder: string): { path: string; text: string }[] {
  const paths = filesBelow(folder);
  if (paths.length > SPEC_LIMITS.files) throw usageError(cliText.specFolderFiles(folder, SPEC_LIMITS.files));
  const files: { path: string; text: string }[] = [];
  let total = 0;
  for (const path of paths) {
    if (read(() => statSync(path), path).size > SPEC_LIMITS.fileBytes) continue;
    const bytes = read(() => readFileSync(path), path);
    const text = bytes.toString();
    if (isBinary(bytes) || text.trim() === '') continue;
    total += Buffer.byteLength(text);
    files.push({ path: relative(folder, path).replaceAll('\\', '/'), text });
  }
  if (files.length === 0) throw usageError(cliText.specFolderEmpty(folder));
  if (total > SPEC_LIMITS.bytes) throw usageError(cliText.specFolderBytes(folder, total, SPEC_LIMITS.bytes));
  return files.sort(bySpecOrder);
}

/** Ends early where there are too many: a person may have named a whole disk. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  const open = [folder];
  for (let at = open.pop(); at !== undefined && found.length <= SPEC_LIMITS.files; at = open.pop()) {
    for (const entry of read(() => readdirSync(at, { withFileTypes: true }), at)) {
      const path = join(at, entry.name);
      if (entry.isDirectory() && entry.name !== '.git') open.push(path);
      else if (entry.isFile()) found.push(path);
    }
  }
  return found;
}

function read<T>(how: () => T, path: string): T {
  try {
    return how();
  } catch (error) {
    throw usageError(cliText.unreadableSpec(path, (error as Error).message), error);
  }
}
