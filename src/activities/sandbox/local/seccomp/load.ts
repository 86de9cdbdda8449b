/** The filter as a file for bubblewrap, and whether this kernel takes it. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { join } from 'node:path';
import { runProcess } from '../../../process/run-process.ts';
import { seccompFilter } from './compile.ts';

/** `file` is the host's; no sandbox sees it. */
export type Seccomp = { ok: true; file: string } | { ok: false; reason: string };

/** The descriptor on which `bwrap` finds the filter; the shell that starts it opens the file there. */
export const SECCOMP_FD = 9;

/** Writes the filter below `folder`, once for each content, and shows by a sandbox that it is obeyed. */
export async function loadSeccomp(bwrap: string, folder: string): Promise<Seccomp> {
  const filter = seccompFilter(arch());
  if (filter === null) return { ok: false, reason: `there is no filter for ${arch()}` };
  const name = `seccomp-${createHash('sha256').update(filter).digest('hex').slice(0, 16)}.bpf`;
  const file = join(folder, name);
  if (!existsSync(file)) {
    await mkdir(folder, { recursive: true });
    const making = join(folder, `.${name}.${process.pid}`);
    await writeFile(making, filter, { mode: 0o600 });
    await rename(making, file);
  }
  const system = ['--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev'];
  const argv = [bwrap, '--seccomp', String(SECCOMP_FD), '--unshare-user', ...system, '--die-with-parent', '--'];
  // bash tells the mode of its own process: 2 is a filter.
  const ask = [
    '/bin/sh',
    '-c',
    'while read -r key value; do [ "$key" != Seccomp: ] || echo "$value"; done < /proc/self/status',
  ];
  const shell = `exec "$@" ${SECCOMP_FD}<"$0"`;
  const ran = await runProcess(['/bin/sh', '-c', shell, file, ...argv, ...ask], { env: {}, timeoutMs: 10_000 });
  if (ran.reason === 'exit' && ran.exitCode === 0 && ran.stdout.toString().trim() === '2') return { ok: true, file };
  return { ok: false, reason: `bwrap --seccomp failed (${ran.reason}, ${ran.exitCode}): ${ran.stderr.trim()}` };
}
