/** A task that a person adds to a run: its id, and whether it can be taken. Pure. */
import type { AddTask } from '../contracts/people.ts';
import type { TaskSpec } from '../contracts/task.ts';
import { checkPlan, freeId, type KnownTask, planLimits } from './plan-rules.ts';
import { checkDivision } from './division.ts';
import type { z } from 'zod';

type Added = z.output<typeof AddTask>;

const MAX_ID_CHARS = 32;

/** Its id is made of the description's first words where none is given, and is no other task's. */
export function specOfAdded(added: Added, known: readonly KnownTask[]): TaskSpec {
  const { id, ...rest } = added;
  return { ...rest, id: id ?? idOf(added.description, known) };
}

/** All reasons to refuse it, as a plan's; none means that it can be taken. */
export function whyNotAdded(
  added: Added,
  known: readonly KnownTask[],
  open: readonly TaskSpec[],
  within?: { scope: readonly string[]; subtasks: number },
): string[] {
  const spec = specOfAdded(added, known);
  const scratchpad = { goals: '', state: '', reasoning: '', intelligence: '' };
  const { errors } = checkPlan({ scratchpad, tasks: [spec], done: false }, known, planLimits(open));
  if (within !== undefined) errors.push(...checkDivision([spec], known.length, within));
  return errors;
}

function idOf(description: string, known: readonly KnownTask[]): string {
  const taken = new Set(known.map(({ id }) => id));
  const words = description
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const cut = words.length <= MAX_ID_CHARS ? words : words.slice(0, words.lastIndexOf('-', MAX_ID_CHARS) + 1);
  const base = (cut === '' ? words.slice(0, MAX_ID_CHARS) : cut).replace(/-+$/, '') || 'added';
  return taken.has(base) ? freeId(base, taken) : base;
}
