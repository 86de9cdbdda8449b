/** Which process of this host makes something: its number and when it began, as numbers are used again. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { isRunning } from '../../infra/lib/processes.mjs';

export const Maker = z.object({
  pid: z.number().int(),
  /** Clock ticks from the boot to its start; absent where the system tells of none. */
  started: z.string().optional(),
});
export type Maker = z.infer<typeof Maker>;

/** This process. */
export const thisMaker = (): Maker => {
  const started = startOf(process.pid);
  return { pid: process.pid, ...(started === undefined ? {} : { started }) };
};

/** Whether it still runs; one of whose start nothing is known is told by its number. */
export function isAlive({ pid, started }: Maker): boolean {
  return started === undefined ? isRunning(pid) : startOf(pid) === started;
}

/** Undefined where it does not run, or there is no /proc. The name before may hold anything, brackets too. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
