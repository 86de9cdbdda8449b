/**
 * Work that was lost and planned anew under another id: a run whose lost tasks all have successors that landed has
 * nothing left undone. Pure.
 */
import type { TaskReport } from '../contracts/run.ts';
import type { TaskSpec } from '../contracts/task.ts';
import { isDone } from './dispatch.ts';

/** A task that did not land; `scope` as it was planned, as far as that is known. */
export type Lost = { id: string; digest?: string; scope: readonly string[] };

/**
 * The lost tasks that a new one stands for: those that it names; and where a planner names none, one of the same
 * words, of the same files, or whose id it has with a number behind it, as the rules for plans advise.
 */
export function replacedBy(
  task: Pick<TaskSpec, 'id' | 'scope' | 'replaces'>,
  digest: string,
  lost: readonly Lost[],
): string[] {
  if (task.replaces !== undefined) return lost.flatMap(({ id }) => (task.replaces?.includes(id) ? [id] : []));
  return lost
    .filter(
      (each) =>
        each.digest === digest ||
        isNumbered(task.id, each.id, lost) ||
        (task.scope.length > 0 && sameFiles(task.scope, each.scope)),
    )
    .map(({ id }) => id);
}

const stem = (id: string): string => id.replace(/-r?\d+$/, '');

/** `slug-2` and `slug-r2` go on from `slug`; and `slug-3` from `slug-2`, where `slug` was lost: else they are siblings. */
const isNumbered = (id: string, from: string, lost: readonly Lost[]): boolean =>
  id !== from &&
  stem(id) !== id &&
  (stem(id) === from || (stem(id) === stem(from) && lost.some((each) => each.id === stem(id))));

const sameFiles = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((path) => b.includes(path));

/** The tasks whose work is done neither by themselves nor by what was planned in their place. */
export function undone<T extends Pick<TaskReport, 'id' | 'status' | 'branch' | 'successor'>>(tasks: readonly T[]): T[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  return tasks.filter((task) => {
    const seen = new Set<string>();
    for (let at: T | undefined = task; at !== undefined && !seen.has(at.id); ) {
      if (isDone(at)) return false;
      seen.add(at.id);
      at = at.successor === undefined ? undefined : byId.get(at.successor);
    }
    return true;
  });
}
