/**
 * Limits of one sandbox. Processes and memory of all its commands together by cgroups where the worker may make
 * some (v1, or v2 with the controllers handed down), else for each process by resource limits.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config.ts';

export interface Limiter {
  readonly kind: 'cgroup-v1' | 'cgroup-v2' | 'rlimit';
  /** Makes the groups unless this process has; returns the folders of those that are new. */
  open(id: string): string[];
  /** Resolves when its groups are gone, and those that other processes made (`folders`); what still runs in them must have been killed. */
  close(id: string, folders: readonly string[]): Promise<void>;
  /** argv that starts `argv` within the limits. `combine`: standard error into standard output. */
  wrap(id: string, argv: readonly string[], combine: boolean): string[];
  /** argv to put before a command inside the user namespace. */
  readonly inside: readonly string[];
}

type Group = { dir: string; files: Readonly<Record<string, string>> };

export function createLimiter(limits: SandboxLimits): Limiter {
  const found = findGroups(limits);
  const groupsOf = (id: string): Group[] =>
    found.groups.map(({ dir, files }) => ({ dir: join(dir, `agentswarm-${id}`), files }));
  const opened = new Set<string>();
  const open = (id: string): string[] => {
    if (opened.has(id)) return [];
    const made: string[] = [];
    for (const { dir, files } of groupsOf(id)) {
      if (mkdirSync(dir, { recursive: true }) !== undefined) made.push(dir);
      for (const [name, value] of Object.entries(files)) writeFileSync(join(dir, name), value);
    }
    opened.add(id);
    return made;
  };
  // ulimit counts file sizes in blocks of 512 bytes and, as the data segment, all private writable memory.
  const ulimits = [
    'ulimit -c 0',
    `ulimit -f ${limits.fileSizeMb * 2048}`,
    `ulimit -t ${limits.cpuSeconds}`,
    ...(found.kind === 'rlimit' ? [`ulimit -d ${limits.memoryMb * 1024}`] : []),
  ].join(' && ');

  return {
    kind: found.kind,
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
            await sleep(25);
          }
        }
      }
    },
    wrap(id, argv, combine) {
      const enter = groupsOf(id).map((_, i) => `echo 0 > "$${i + 1}/cgroup.procs"`);
      const dirs = groupsOf(id).map(({ dir }) => dir);
      const script = [ulimits, ...enter].join(' && ');
      const shift = dirs.length === 0 ? '' : `shift ${dirs.length}; `;
      return [
        '/bin/sh',
        '-c',
        `${script} || exit 126; ${shift}exec "$@"${combine ? ' 2>&1' : ''}`,
        'sh',
        ...dirs,
        ...argv,
      ];
    },
    // In a user namespace of its own this counts the sandbox's processes only, since Linux 5.14.
    inside: found.kind === 'rlimit' ? ['prlimit', `--nproc=${limits.processes}`, '--'] : [],
  };
}

function findGroups(limits: SandboxLimits): { kind: Limiter['kind']; groups: Group[] } {
  const memory = String(limits.memoryMb * 1024 * 1024);
  const own = new Map<string, string>();
  for (const line of readFileSync('/proc/self/cgroup', 'utf8').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const name of (controllers ?? '').split(',')) if (path !== undefined) own.set(name, path);
  }
  const mounts = new Map<string, string>();
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, dir = '', type, options = ''] = line.split(' ');
    if (type === 'cgroup2') mounts.set('', dir);
    if (type === 'cgroup')
      for (const name of options.split(',')) if (name === 'pids' || name === 'memory') mounts.set(name, dir);
  }
  const at = (name: string) => join(mounts.get(name) ?? '/nonexistent', own.get(name) ?? '/');
  const v1: Group[] = [
    { dir: at('pids'), files: { 'pids.max': String(limits.processes) } },
    { dir: at('memory'), files: { 'memory.limit_in_bytes': memory } },
  ];
  if (mounts.has('pids') && mounts.has('memory') && works(v1)) return { kind: 'cgroup-v1', groups: v1 };
  if (mounts.has('')) {
    // A group with processes in it cannot hand controllers down, so ours is the worker's or its parent's child.
    const files = { 'pids.max': String(limits.processes), 'memory.max': memory };
    for (const dir of [at(''), join(at(''), '..')])
      if (works([{ dir, files }])) return { kind: 'cgroup-v2', groups: [{ dir, files }] };
  }
  return { kind: 'rlimit', groups: [] };
}

/** Shown by making one: the files exist only where the controllers are. */
function works(groups: readonly Group[]): boolean {
  return groups.every(({ dir, files }) => {
    const probe = join(dir, `agentswarm-probe-${randomUUID()}`);
    try {
      mkdirSync(probe);
      try {
        for (const [name, value] of Object.entries(files)) writeFileSync(join(probe, name), value, { flag: 'r+' });
        return true;
      } finally {
        rmdirSync(probe);
      }
    } catch {
      // Whatever the kernel says against it: there is no such group for us.
      return false;
    }
  });
}
