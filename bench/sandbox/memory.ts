/** Memory of processes, as /proc tells it. Linux. */
import { readFileSync } from 'node:fs';
import { childrenOf } from '../overhead/processes.ts';

/** MB that a process has in memory. */
export function memoryOf(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) / 1_024;
}

/** MB, shared pages divided among those who share them, of all processes below `pid` that are above one called `leaf`. */
export function pssMbBelow(pid: number, leaf: string): number {
  return childrenOf(pid).reduce(
    (sum, spawner) => sum + childrenOf(spawner).reduce((all, top) => all + tree(top), 0),
    0,
  );

  function tree(top: number): number {
    const all = descendants(top);
    return all.some((each) => nameOf(each) === leaf) ? all.reduce((sum, each) => sum + pssMb(each), 0) : 0;
  }
}

const descendants = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(descendants)];

const nameOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();

function pssMb(pid: number): number {
  const kb = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return Number(kb) / 1_024;
}
