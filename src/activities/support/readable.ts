/** The host's files as far as the worker's user may read them: an ordinary user's PATH and /etc name others too. */
import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { access, lstat } from 'node:fs/promises';

/** Undefined for what this user may not read, what is not there, and what is not what it was taken for. */
export function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).errno === 'number') return undefined;
    throw error;
  }
}

/** A folder that this user can list and enter. */
export const isReadableFolder = (path: string): boolean =>
  ifReadable(() => {
    accessSync(path, constants.R_OK | constants.X_OK);
    return statSync(path).isDirectory();
  }) ?? false;

export const isLink = (path: string): boolean => ifReadable(() => lstatSync(path).isSymbolicLink()) ?? false;

/** Whether a copy of it can be made: a link is copied as it is, wherever it leads. */
export async function canBeCopied(path: string): Promise<boolean> {
  try {
    const stat = await lstat(path);
    if (stat.isSymbolicLink()) return true;
    await access(path, stat.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    return true;
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).errno === 'number') return false;
    throw error;
  }
}
