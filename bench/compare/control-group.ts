/**
 * A control group (v2) that counts the CPU of all processes that are started in it, however they end. What a process
 * is told of its children by `wait` leaves out servers that run by themselves and all that ends with a process
 * namespace, as the commands of sandboxes do; the kernel's count for a group has them.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const REMOVAL_MS = 10_000;

export type ControlGroup = {
  /** The command that runs `argv` in the group. */
  enter(argv: readonly string[]): string[];
  /** CPU seconds (user and system) of all that has run in the group so far. */
  cpuSeconds(): number;
  /** Kills all that runs in it; returns how many processes there were. */
  kill(): Promise<number>;
  remove(): Promise<void>;
};

/** Makes a group below that of this process, or says why there is none. */
export function makeControlGroup(): ControlGroup | { why: string } {
  const mount = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1];
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  if (mount === undefined || own === undefined) return { why: 'control groups (v2) are not mounted' };
  const dir = join(mount, own, `agentswarm-compare-${process.pid}`);
  // Sandboxes get groups beside that of their worker where controllers are handed down: these are counted in `dir` too.
  const inner = join(dir, 'processes');
  try {
    mkdirSync(inner, { recursive: true });
    if (!existsSync(join(inner, 'cgroup.kill'))) throw new Error('this kernel has no cgroup.kill (Linux 5.14)');
  } catch (error) {
    removeTree(dir);
    return { why: `no control group can be made in ${join(mount, own)}: ${(error as Error).message}` };
  }
  handDown(dir);
  return {
    enter: (argv) => ['/bin/sh', '-c', 'echo 0 > "$0" && exec "$@"', join(inner, 'cgroup.procs'), ...argv],
    cpuSeconds: () => usageSeconds(dir),
    async kill() {
      const count = processesIn(dir).length;
      if (count > 0) writeFileSync(join(dir, 'cgroup.kill'), '1');
      await until(() => processesIn(dir).length === 0, `the processes in ${dir} do not end`);
      return count;
    },
    async remove() {
      await until(() => removeTree(dir), `${dir} cannot be removed`);
    },
  };
}

/** Sandboxes are limited by groups as they are without a comparison, where this group was given the controllers. */
function handDown(dir: string): void {
  for (const controller of ['+pids', '+memory']) {
    try {
      writeFileSync(join(dir, 'cgroup.subtree_control'), controller);
    } catch {
      // It was not given to this group.
    }
  }
}

function usageSeconds(dir: string): number {
  const [, usec] = /^usage_usec (\d+)$/m.exec(readFileSync(join(dir, 'cpu.stat'), 'utf8')) ?? [];
  if (usec === undefined) throw new Error(`${join(dir, 'cpu.stat')} has no usage_usec: the CPU cannot be counted.`);
  return Number(usec) / 1e6;
}

const childrenOf = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [join(dir, entry.name)] : []));

function processesIn(dir: string): string[] {
  const own = readFileSync(join(dir, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
  return [...own, ...childrenOf(dir).flatMap(processesIn)];
}

/** @returns whether it has gone: a group with processes in it cannot be removed yet. */
function removeTree(dir: string): boolean {
  if (!existsSync(dir)) return true;
  try {
    for (const child of childrenOf(dir)) if (!removeTree(child)) return false;
    rmdirSync(dir);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    return false;
  }
}

async function until(done: () => boolean, otherwise: string): Promise<void> {
  for (const end = Date.now() + REMOVAL_MS; !done(); await sleep(20)) {
    if (Date.now() > end) throw new Error(`After ${REMOVAL_MS / 1_000} s ${otherwise}; end what still runs there.`);
  }
}
