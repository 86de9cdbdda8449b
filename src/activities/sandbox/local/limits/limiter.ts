/**
 * Limits of one sandbox. Processes and memory of all its commands together by cgroups where the worker may make
 * some (v1, or v2 with the controllers handed down), else for each process by resource limits and, for the sum, by
 * looking (watch.ts).
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import { findGroups, type Group, type GroupEvents, type Groups, makeGroup, readEvents } from './groups.ts';

export interface Limiter {
  readonly kind: Groups['kind'];
  /** Makes the groups unless this process has; returns the folders of those that are new. */
  open(id: string): string[];
  /** Resolves when its groups are gone, and those that other processes made (`folders`); what still runs in them, a shell that another worker of this host keeps, is killed. */
  close(id: string, folders: readonly string[]): Promise<void>;
  /** argv that starts `argv` within the limits. */
  wrap(id: string, argv: readonly string[], options: WrapOptions): string[];
  /** argv to put before a command inside the user namespace. */
  readonly inside: readonly string[];
  /** What keeps the number of processes: nothing for a root worker without groups on Linux before 6.14. */
  readonly processesBy: 'cgroup' | 'rlimit' | 'pid namespace' | 'looking';
  /** What the groups have counted for this sandbox since they were made; null where there are none. */
  events(id: string): GroupEvents | null;
}

export type WrapOptions = {
  /** Standard error into standard output. */
  combine: boolean;
  /** A file that `argv` finds open on this descriptor. */
  open?: { fd: number; file: string };
  /** Where to write the process id that `argv` will have. */
  pidFile?: string;
};

/** @param groups where the limits of the sum are kept; found on this machine unless given. */
export function createLimiter(limits: SandboxLimits, groups: Groups = findGroups(limits)): Limiter {
  const groupsOf = (id: string): Group[] =>
    groups.groups.map((group) => ({ ...group, dir: join(group.dir, `agentswarm-${id}`) }));
  const opened = new Set<string>();
  const open = (id: string): string[] => {
    if (opened.has(id)) return [];
    const made = groupsOf(id).flatMap((group) => (makeGroup(group) ? [group.dir] : []));
    opened.add(id);
    return made;
  };
  // ulimit counts file sizes in blocks of 512 bytes and, as the data segment, all private writable memory.
  const ulimits = [
    'ulimit -c 0',
    `ulimit -f ${limits.fileSizeMb * 2048}`,
    // The first signal says why (SIGXCPU); the second cannot be caught.
    `ulimit -S -t ${limits.cpuSeconds} && ulimit -H -t ${limits.cpuSeconds + 5}`,
    `ulimit -n ${Math.min(limits.openFiles, ownOpenFiles())}`,
    ...(groups.kind === 'rlimit' ? [`ulimit -d ${limits.memoryMb * 1024}`] : []),
  ].join(' && ');

  const outside = groups.kind === 'rlimit' && process.getuid?.() === 0 ? pidNamespace(limits.processes) : [];

  return {
    kind: groups.kind,
    processesBy:
      groups.kind !== 'rlimit'
        ? 'cgroup'
        : outside.length > 0
          ? 'pid namespace'
          : process.getuid?.() === 0
            ? 'looking'
            : 'rlimit',
    open,
    async close(id, folders) {
      opened.delete(id);
      for (const dir of new Set([...folders, ...groupsOf(id).map((group) => group.dir)])) {
        for (let tries = 1; ; tries++) {
          try {
            rmdirSync(dir);
            break;
          } catch (error) {
            const { code } = error as NodeJS.ErrnoException;
            if (code === 'ENOENT') break;
            if (code !== 'EBUSY' || tries >= 40) throw error;
            killAll(dir);
            await sleep(25);
          }
        }
      }
    },
    wrap(id, argv, { combine, open: opens, pidFile }) {
      const dirs = groupsOf(id).map(({ dir }) => dir);
      const enter = dirs.map((_, i) => `echo 0 > "$${i + 1}/cgroup.procs"`);
      const paths = [
        ...dirs,
        ...(pidFile === undefined ? [] : [pidFile]),
        ...(opens === undefined ? [] : [opens.file]),
      ];
      const told = pidFile === undefined ? [] : [`echo $$ > "$${dirs.length + 1}"`];
      const opening = opens === undefined ? [] : [`exec ${opens.fd}< "$${paths.length}"`];
      const script = [ulimits, ...enter, ...told, ...opening].join(' && ');
      const shift = paths.length === 0 ? '' : `shift ${paths.length}; `;
      return [
        '/bin/sh',
        '-c',
        `{ ${script}; } || exit 126; ${shift}exec "$@"${combine ? ' 2>&1' : ''}`,
        'sh',
        ...paths,
        ...outside,
        ...argv,
      ];
    },
    // In a user namespace of its own this counts the sandbox's processes only, since Linux 5.14.
    inside: groups.kind === 'rlimit' ? ['prlimit', `--nproc=${limits.processes}`, '--'] : [],
    events: (id) =>
      groups.kind === 'rlimit'
        ? null
        : readEvents(
            groups.kind,
            groupsOf(id).map(({ dir }) => dir),
          ),
  };
}

function killAll(group: string): void {
  for (const pid of readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n')) {
    try {
      if (pid !== '') process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** The kernel's least limit of a pid namespace. */
const LEAST_PIDS = 301;
/** Of bubblewrap itself. */
const OWN_PIDS = 4;

/**
 * The kernel exempts root from RLIMIT_NPROC, and root is what a root worker's sandbox is to it. Since Linux 6.14 a
 * pid namespace has a limit of its own, which those below it share.
 * @returns argv to put before a command, or nothing where this does not work.
 */
function pidNamespace(processes: number): string[] {
  const setLimit = 'echo "$0" > /proc/sys/kernel/pid_max && exec "$@"';
  const limit = String(Math.max(processes + OWN_PIDS, LEAST_PIDS));
  const argv = ['unshare', '--pid', '--fork', '--kill-child', '--', '/bin/sh', '-c', setLimit, limit];
  const release = /^(\d+)\.(\d+)/.exec(readFileSync('/proc/sys/kernel/osrelease', 'utf8'));
  // Before, the file is the host's own.
  if (Number(release?.[1]) * 1_000 + Number(release?.[2]) < 6_014) return [];
  const [command = '', ...args] = [...argv, 'true'];
  return spawnSync(command, args, { stdio: 'ignore', timeout: 5_000 }).status === 0 ? argv : [];
}

/** A process may not give another more than it has itself. */
function ownOpenFiles(): number {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return hard === undefined || hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard);
}
