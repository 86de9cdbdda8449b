/**
 * What a plan must keep beyond its schema. Pure: every broken rule is one exact line that goes back to the
 * model. A plan that passes can always be dispatched to its end: no task waits for what never comes.
 */
import type { Plan } from '../contracts/plan.ts';
import type { TaskSpec } from '../contracts/task.ts';
import { fnv1a } from '../base/digest.ts';
import type { BranchState, TaskStatus } from '../task/task-machine.ts';

/** A task of this run that a planner submitted before. */
export type KnownTask = { id: string; status: TaskStatus; branch?: BranchState; digest?: string };

/** In bytes of UTF-8 JSON: a planner's whole state must fit 512 kB. */
export type PlanLimits = { taskBytes: number; scratchpadBytes: number };
export const PLAN_LIMITS: PlanLimits = { taskBytes: 150_000, scratchpadBytes: 60_000 };

/** What a plan may take beside the tasks that are still open, which are carried along too. */
export function planLimits(open: readonly unknown[]): PlanLimits {
  const left = PLAN_LIMITS.taskBytes - utf8Length(JSON.stringify(open));
  return { ...PLAN_LIMITS, taskBytes: Math.max(2, left) };
}

/**
 * Checks a parsed plan against the tasks that the run knows already.
 * @returns all errors, in the order of the plan; none means that the plan can be taken.
 */
export function checkPlan(
  plan: Plan,
  known: readonly KnownTask[],
  limits: PlanLimits = PLAN_LIMITS,
): { errors: string[] } {
  const knownById = new Map(known.map((task) => [task.id, task]));
  const planned = new Set(plan.tasks.map((task) => task.id));
  const errors: string[] = [];
  const seen = new Set<string>();
  for (const task of plan.tasks) {
    const earlier = knownById.get(task.id);
    if (seen.has(task.id)) errors.push(`task "${task.id}" is twice in this plan: give each task an id of its own`);
    else if (earlier !== undefined)
      errors.push(
        `task "${task.id}" was planned before (it is ${earlier.status}): new work needs a new id, as in "${freeId(task.id, knownById, planned)}"`,
      );
    const same = sameWork(task, plan.tasks, known);
    if (same !== undefined)
      errors.push(`task "${task.id}" asks for the same as "${same}": each piece of work is planned once`);
    seen.add(task.id);
    for (const id of new Set(task.replaces)) {
      const target = knownById.get(id);
      if (target === undefined) errors.push(`task "${task.id}" replaces "${id}", which was never planned`);
      else if (!isLost(target))
        errors.push(`task "${task.id}" replaces "${id}", which is not lost: it is ${target.status}`);
    }
    for (const dependency of new Set(task.dependsOn)) {
      const target = knownById.get(dependency);
      if (dependency === task.id) errors.push(`task "${task.id}" depends on itself`);
      else if (target === undefined && !planned.has(dependency))
        errors.push(`task "${task.id}" depends on "${dependency}", which is neither in this plan nor planned before`);
      else if (target !== undefined && !planned.has(dependency) && isLost(target))
        errors.push(
          `task "${task.id}" depends on "${dependency}", which ${lostBecause(target)} and will not land: plan that work anew under another id, or drop the dependency`,
        );
    }
  }
  const cycle = findCycle(new Map(plan.tasks.map((task) => [task.id, task.dependsOn])));
  if (cycle !== null) errors.push(`these tasks wait for each other: ${cycle.join(' → ')}`);
  checkSize(
    errors,
    'the tasks',
    plan.tasks,
    limits.taskBytes,
    'shorten the descriptions, or plan fewer tasks until open ones have landed',
  );
  checkSize(
    errors,
    'the scratchpad',
    plan.scratchpad,
    limits.scratchpadBytes,
    'keep what later rounds need, drop the rest',
  );
  return { errors };
}

/** What a task asks for, without case, punctuation and white space, as a digest. */
export const workDigest = (description: string): string =>
  fnv1a(
    description
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim(),
  );

/** The id of an earlier task of the plan, or of one that is open or done, that asks for the same work. */
function sameWork(task: TaskSpec, plan: readonly TaskSpec[], known: readonly KnownTask[]): string | undefined {
  const digest = workDigest(task.description);
  const open = known.find((each) => each.digest === digest && each.id !== task.id && !isLost(each));
  if (open !== undefined) return open.id;
  return plan
    .slice(0, plan.indexOf(task))
    .find((each) => each.id !== task.id && workDigest(each.description) === digest)?.id;
}

const isLost = ({ status, branch }: KnownTask): boolean =>
  status === 'failed' ||
  status === 'cancelled' ||
  (status === 'complete' && (branch === 'ejected' || branch === 'conflicted'));

const lostBecause = ({ status, branch }: KnownTask): string =>
  status === 'failed'
    ? 'failed'
    : status === 'cancelled'
      ? 'was cancelled'
      : branch === 'conflicted'
        ? 'is in conflict'
        : 'was ejected';

/** An id like this one that nothing has. */
export function freeId(id: string, ...taken: readonly { has(id: string): boolean }[]): string {
  for (let n = 2; ; n++) {
    const candidate = `${id.slice(0, 36).replace(/-+$/, '')}-${n}`;
    if (!taken.some((ids) => ids.has(candidate))) return candidate;
  }
}

/** The ids of one cycle of two or more tasks, the first repeated at the end; null when there is none. */
function findCycle(dependsOn: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (id: string): string[] | null => {
    if (path.includes(id)) return [...path.slice(path.indexOf(id)), id];
    if (done.has(id)) return null;
    path.push(id);
    for (const next of dependsOn.get(id) ?? []) {
      if (next === id || !dependsOn.has(next)) continue;
      const cycle = visit(next);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(id);
    return null;
  };
  for (const id of dependsOn.keys()) {
    const cycle = visit(id);
    if (cycle !== null) return cycle;
  }
  return null;
}

function checkSize(errors: string[], what: string, value: unknown, maxBytes: number, remedy: string): void {
  const bytes = utf8Length(JSON.stringify(value));
  if (bytes > maxBytes)
    errors.push(`${what} take${what.endsWith('s') ? '' : 's'} ${bytes} bytes of at most ${maxBytes}: ${remedy}`);
}

/** Bytes of a string in UTF-8, without Buffer: workflows have none. */
function utf8Length(text: string): number {
  let bytes = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
