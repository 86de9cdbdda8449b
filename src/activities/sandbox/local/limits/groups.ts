/** Control groups: which the worker may make, and what they tell of a sandbox. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';

export type Group = {
  dir: string;
  files: Readonly<Record<string, string>>;
  /** Not on every kernel: swap would add to the memory. */
  optional?: Readonly<Record<string, string>>;
};

/** Of v1 first the one for processes, then the one for memory. */
export type Groups = { kind: 'cgroup-v1' | 'cgroup-v2' | 'rlimit'; groups: Group[] };

export function findGroups(limits: Pick<SandboxLimits, 'memoryMb' | 'processes'>): Groups {
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
    {
      dir: at('memory'),
      files: { 'memory.limit_in_bytes': memory },
      optional: { 'memory.memsw.limit_in_bytes': memory },
    },
  ];
  if (mounts.has('pids') && mounts.has('memory') && works(v1)) return { kind: 'cgroup-v1', groups: v1 };
  if (mounts.has('')) {
    // A group with processes in it cannot hand controllers down, so ours is the worker's or its parent's child.
    const files = { 'pids.max': String(limits.processes), 'memory.max': memory };
    const optional = { 'memory.swap.max': '0' };
    for (const dir of [at(''), join(at(''), '..')])
      if (works([{ dir, files }])) return { kind: 'cgroup-v2', groups: [{ dir, files, optional }] };
  }
  return { kind: 'rlimit', groups: [] };
}

/** @returns whether the group is new. */
export function makeGroup({ dir, files, optional = {} }: Group): boolean {
  const made = mkdirSync(dir, { recursive: true }) !== undefined;
  for (const [name, value] of Object.entries(files)) writeFileSync(join(dir, name), value);
  for (const [name, value] of Object.entries(optional)) {
    try {
      writeFileSync(join(dir, name), value, { flag: 'r+' });
    } catch {
      // This kernel does not count swap.
    }
  }
  return made;
}

/** How often the groups had to end a process for memory, and refused to make one. */
export type GroupEvents = { memoryKills: number; forksRefused: number };

export function readEvents(kind: Groups['kind'], dirs: readonly string[]): GroupEvents {
  const [first = '', last = ''] = [dirs[0], dirs.at(-1)];
  const memory = kind === 'cgroup-v1' ? 'memory.oom_control' : 'memory.events';
  return { memoryKills: count(join(last, memory), 'oom_kill'), forksRefused: count(join(first, 'pids.events'), 'max') };
}

function count(file: string, name: string): number {
  try {
    const line = readFileSync(file, 'utf8')
      .split('\n')
      .find((each) => each.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  } catch {
    // The sandbox has gone meanwhile, or the kernel is too old to count.
    return 0;
  }
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
