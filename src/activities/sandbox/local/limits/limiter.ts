/**
 * Limits of one sandbox. Where the worker may make control groups (v1, or v2 with the controllers handed down), they
 * limit the processes and the memory of all its commands together. Elsewhere resource limits hold for each process, and
 * the sum is looked at while a command runs (watch.ts).
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import { findGroups, type Group, type GroupEvents, type Groups, makeGroup, readEvents } from './groups.ts';

export interface Limiter {
  readonly kind: Groups['kind'];
  /** Makes the control groups, unless this process has done so; returns the folders of those that are new. */
  open(id: string): string[];
  /**
   * Resolves when the sandbox's control groups are gone, and those that other processes made (`folders`). What still
   * runs in them is killed: that is a shell which another worker of this host has waiting there.
   */
  close(id: string, folders: readonly string[]): Promise<void>;
  /** argv that starts `argv` within the limits. */
  wrap(id: string, argv: readonly string[], options: WrapOptions): string[];
  /** argv to put before a command inside the user namespace. */
  readonly inside: readonly string[];
  /** What limits the number of processes. Nothing in the kernel does for a root worker without groups before Linux 6.14. */
  readonly processesBy: 'cgroup' | 'rlimit' | 'pid namespace' | 'looking';
  /** What the control groups have counted for this sandbox since they were made; null where there are none. */
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

/** How often it is tried to remove a control group in which something still runs. */
const REMOVE_TRIES = 40;

/** @param groups the control groups that limit all commands of a sandbox together; found on this machine unless given. */
export const createLimiter = (limits: SandboxLimits, groups: Groups = findGroups(limits)): Limiter =>
  new SandboxLimiter(limits, groups);

class SandboxLimiter implements Limiter {
  readonly kind: Groups['kind'];
  readonly inside: readonly string[];
  readonly processesBy: Limiter['processesBy'];
  private readonly groups: readonly Group[];
  private readonly opened = new Set<string>();
  /** Shell commands that set the limits of one process. */
  private readonly ulimits: string;
  /** argv to put before a command outside its user namespace. */
  private readonly outside: readonly string[];

  constructor(limits: SandboxLimits, { kind, groups }: Groups) {
    const byRlimit = kind === 'rlimit';
    const isRoot = process.getuid?.() === 0;
    this.kind = kind;
    this.groups = groups;
    this.ulimits = ulimitCommands(limits, byRlimit);
    // In a user namespace of its own this counts the sandbox's processes only, since Linux 5.14.
    this.inside = byRlimit ? ['prlimit', `--nproc=${limits.processes}`, '--'] : [];
    this.outside = byRlimit && isRoot ? pidNamespace(limits.processes) : [];
    if (!byRlimit) this.processesBy = 'cgroup';
    else if (!isRoot) this.processesBy = 'rlimit';
    else this.processesBy = this.outside.length > 0 ? 'pid namespace' : 'looking';
  }

  open(id: string): string[] {
    if (this.opened.has(id)) return [];
    const made = this.groupsOf(id).flatMap((group) => (makeGroup(group) ? [group.dir] : []));
    this.opened.add(id);
    return made;
  }

  async close(id: string, folders: readonly string[]): Promise<void> {
    this.opened.delete(id);
    for (const dir of new Set([...folders, ...this.dirsOf(id)])) await removeGroup(dir);
  }

  wrap(id: string, argv: readonly string[], { combine, open: opens, pidFile }: WrapOptions): string[] {
    const dirs = this.dirsOf(id);
    const enter = dirs.map((_, i) => `echo 0 > "$${i + 1}/cgroup.procs"`);
    const paths = [...dirs, ...(pidFile === undefined ? [] : [pidFile]), ...(opens === undefined ? [] : [opens.file])];
    const writePid = pidFile === undefined ? [] : [`echo $$ > "$${dirs.length + 1}"`];
    const opening = opens === undefined ? [] : [`exec ${opens.fd}< "$${paths.length}"`];
    const script = [this.ulimits, ...enter, ...writePid, ...opening].join(' && ');
    const shift = paths.length === 0 ? '' : `shift ${paths.length}; `;
    return [
      '/bin/sh',
      '-c',
      `{ ${script}; } || exit 126; ${shift}exec "$@"${combine ? ' 2>&1' : ''}`,
      'sh',
      ...paths,
      ...this.outside,
      ...argv,
    ];
  }

  events(id: string): GroupEvents | null {
    return this.kind === 'rlimit' ? null : readEvents(this.kind, this.dirsOf(id));
  }

  private groupsOf(id: string): Group[] {
    return this.groups.map((group) => ({ ...group, dir: join(group.dir, `agentswarm-${id}`) }));
  }

  private dirsOf(id: string): string[] {
    return this.groupsOf(id).map(({ dir }) => dir);
  }
}

/** ulimit counts file sizes in blocks of 512 bytes and, as the data segment, all private writable memory. */
function ulimitCommands(limits: SandboxLimits, limitsMemory: boolean): string {
  return [
    'ulimit -c 0',
    `ulimit -f ${limits.fileSizeMb * 2048}`,
    // The first signal says why (SIGXCPU); the second cannot be caught.
    `ulimit -S -t ${limits.cpuSeconds} && ulimit -H -t ${limits.cpuSeconds + 5}`,
    `ulimit -n ${Math.min(limits.openFiles, ownOpenFiles())}`,
    ...(limitsMemory ? [`ulimit -d ${limits.memoryMb * 1024}`] : []),
  ].join(' && ');
}

/** Removes a control group, and kills what still runs in it. One that is not there is no error. */
async function removeGroup(dir: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(dir);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || tries >= REMOVE_TRIES) throw error;
      killAll(dir);
      await sleep(25);
    }
  }
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
