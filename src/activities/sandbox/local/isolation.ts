/** bubblewrap: whether it works here, and the arguments that make a sandbox. */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { runProcess } from '../../process/run-process.ts';
import type { SandboxPaths } from '../provider.ts';
import { AGENT_UID } from './etc.ts';

export const INSIDE: SandboxPaths = {
  workspace: '/workspace',
  tmp: '/tmp',
  home: '/home/agent',
  output: '/run/output',
  objects: '/run/mirror/objects',
  git: '/run/checkpoint',
  setup: '/run/setup',
};
export const NODE_INSIDE = '/opt/node/bin';

export const INSTALL_BUBBLEWRAP =
  'Install it with: apt-get install -y bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora). macOS has none: run the worker in a Linux container or machine. sandbox.unsafe: true in temporal.config.ts runs agents without isolation.';

export type Probe = { ok: true; bwrap: string } | { ok: false; reason: string };

/** Shows that bubblewrap works by starting one, with the namespaces that sandboxes use. */
export async function probeIsolation(env: Readonly<Record<string, string | undefined>> = process.env): Promise<Probe> {
  if (process.platform !== 'linux') return { ok: false, reason: `${process.platform} has no bubblewrap` };
  const bwrap = findProgram('bwrap', env.PATH ?? '');
  if (bwrap === undefined) return { ok: false, reason: 'bubblewrap (bwrap) is not on the PATH' };
  const argv = [bwrap, ...namespaceArgs('own'), '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', 'true'];
  const ran = await runProcess(argv, { env: {}, timeoutMs: 10_000 });
  if (ran.reason === 'exit' && ran.exitCode === 0) return { ok: true, bwrap };
  return {
    ok: false,
    reason: `${bwrap} cannot make a sandbox here (${ran.reason}, ${ran.exitCode}): ${ran.stderr.trim()}`,
  };
}

export function findProgram(name: string, path: string): string | undefined {
  return path
    .split(':')
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => `${folder}/${name}`)
    .find((file) => existsSync(file));
}

function namespaceArgs(network: 'own' | 'shared'): string[] {
  return [
    '--unshare-user',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    ...(network === 'own' ? ['--unshare-net'] : []),
    '--disable-userns',
    ...['--uid', String(AGENT_UID), '--gid', String(AGENT_UID), '--hostname', 'sandbox'],
    '--die-with-parent',
    '--new-session',
    ...['--cap-drop', 'ALL'],
  ];
}

/** The read-only part, the same for all sandboxes of a host. */
export function systemArgs(host: { etc: string; binds: readonly string[]; node?: string }): string[] {
  const args = ['--ro-bind', '/usr', '/usr'];
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const stat = lstatSync(`/${name}`, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() === true) args.push('--symlink', readlinkSync(`/${name}`), `/${name}`);
    else if (stat?.isDirectory() === true) args.push('--ro-bind', `/${name}`, `/${name}`);
  }
  args.push('--ro-bind', host.etc, '/etc', '--proc', '/proc', ...procArgs(`${host.etc}/empty`), '--dev', '/dev');
  for (const path of ['/usr/etc/npmrc', '/usr/local/etc/npmrc']) {
    // They are npm's global settings and may hold a registry's token.
    if (existsSync(path)) args.push('--ro-bind', `${host.etc}/empty`, path);
  }
  for (const path of host.binds) args.push('--ro-bind', path, path);
  if (host.node !== undefined) args.push('--ro-bind', host.node, `${NODE_INSIDE}/node`);
  return args;
}

/**
 * /proc is the kernel's, not the sandbox's: a process of a root worker's sandbox is root to it, without capabilities,
 * and much there asks for the user only (`kernel/core_pattern` starts programs on the host). As containers do it:
 * what can be set is read-only, what tells of the machine's memory and keys is empty.
 */
function procArgs(empty: string): string[] {
  // Any other user has no rights there; each of these mounts costs every command some 50 µs.
  if (process.getuid?.() !== 0) return [];
  const readOnly = ['sys', 'fs', 'irq', 'bus', 'pressure', 'sysrq-trigger'].map((name) => `/proc/${name}`);
  const emptied = [
    ...['kcore', 'keys', 'kmsg', 'kpagecount', 'kpageflags', 'kpagecgroup'],
    ...['mtrr', 'timer_list', 'slabinfo', 'vmallocinfo'],
  ].map((name) => `/proc/${name}`);
  return [
    ...readOnly.filter((path) => existsSync(path)).flatMap((path) => ['--ro-bind', path, path]),
    ...emptied.filter((path) => existsSync(path)).flatMap((path) => ['--ro-bind', empty, path]),
    ...['/proc/acpi', '/proc/scsi', '/proc/asound']
      .filter((path) => existsSync(path))
      .flatMap((path) => ['--perms', '0555', '--tmpfs', path, '--remount-ro', path]),
  ];
}

/** The sandbox's own part. Paths are the host's. */
export type Mounts = {
  folder: string;
  objects: string;
  git: boolean;
  setup?: string;
  binds: readonly Bind[];
};

/** Read-only. */
export type Bind = { from: string; to: string };

export function bwrapArgs(
  bwrap: string,
  system: readonly string[],
  mounts: Mounts,
  options: {
    network: 'own' | 'shared';
    cwd: string;
    /** Of /dev/shm, which is memory. */
    memoryMb: number;
    /** Where the filter of system calls is open; absent: none. */
    seccompFd?: number;
  },
): string[] {
  const { folder } = mounts;
  const args = [
    bwrap,
    ...(options.seccompFd === undefined ? [] : ['--seccomp', String(options.seccompFd)]),
    ...namespaceArgs(options.network),
    ...system,
    // /dev is memory too; only its shm may be written, so far.
    ...[
      '--perms',
      '1777',
      '--size',
      String(options.memoryMb * 1_048_576),
      '--tmpfs',
      '/dev/shm',
      '--remount-ro',
      '/dev',
    ],
    ...['--bind', `${folder}/tmp`, INSIDE.tmp],
    ...['--bind', `${folder}/home`, INSIDE.home],
    ...['--bind', `${folder}/workspace`, INSIDE.workspace],
    ...['--ro-bind', `${folder}/output`, INSIDE.output],
    ...['--ro-bind', mounts.objects, INSIDE.objects],
  ];
  if (mounts.git) args.push('--bind', `${folder}/git`, INSIDE.git);
  if (mounts.setup !== undefined) args.push('--ro-bind', mounts.setup, INSIDE.setup);
  if (options.network === 'shared') {
    for (const path of ['/etc/resolv.conf', '/etc/hosts']) if (existsSync(path)) args.push('--ro-bind', path, path);
  }
  for (const { from, to } of mounts.binds) args.push('--dir', dirname(to), '--ro-bind', from, to);
  // The root itself is a tmpfs that would take writes, and lose them with the command.
  return [...args, '--remount-ro', '/', '--chdir', options.cwd, '--'];
}
