/** The shell that is kept in a sandbox between commands: this host's, as a file that may be run and not read. */
import { randomUUID } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The name is told to programs that are many in one file. */
export const SHELL_INSIDE = '/run/shell/sh';

/**
 * The kernel lets nobody look into a process whose program its user may not read (no /proc/<pid>/mem or fd, no
 * ptrace), so what a command leaves behind cannot tell the shell what to run next.
 * @param root a folder of ours. @returns the copy's path.
 */
export function makeShell(root: string): string {
  const from = realpathSync('/bin/sh');
  const { mtimeMs, size } = statSync(from);
  const folder = join(root, 'shell');
  const file = join(folder, `sh-${Math.round(mtimeMs)}-${size}`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const making = join(folder, `.${randomUUID()}`);
  copyFileSync(from, making);
  chmodSync(making, 0o111);
  renameSync(making, file);
  return file;
}
