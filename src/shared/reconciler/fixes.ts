/** Fix tasks: what of a reconciler's proposal can be used, and what is proposed where its model has none. Pure. */
import type { CheckError, CheckRun } from '../contracts/checks.ts';
import type { Fixes } from '../contracts/sweep.ts';
import type { AcceptanceCriterion, TaskSpec } from '../contracts/task.ts';
import { TaskId } from '../base/ids.ts';
import { scopesOverlap } from '../planner/scopes.ts';

export type MadeFixes = {
  tasks: TaskSpec[];
  /** Which tasks were made for which error. */
  made: { error: CheckError; tasks: string[] }[];
};

const MAX_TASKS = 5;
const ERRORS_TOLD = 20;
const TAIL_CHARS = 2_500;
const MAX_DESCRIPTION_CHARS = 19_000;
const RULE =
  'Mend the cause. Do not delete, skip or weaken a test, a type check or a threshold to be green: such a change is held back.';

/** What is wrong with a proposal, in sentences for the model; empty when it can be used. */
export function fixProblems(
  { tasks }: Fixes,
  { errors, taken }: { errors: readonly CheckError[]; taken: readonly string[] },
): string[] {
  const problems: string[] = [];
  const ids = tasks.map(({ id }) => id);
  for (const [i, task] of tasks.entries()) {
    if (taken.includes(task.id)) problems.push(`The id ${task.id} was used before: choose another.`);
    if (ids.indexOf(task.id) !== i) problems.push(`Two tasks have the id ${task.id}.`);
    for (const number of task.errors ?? []) {
      if (number > errors.length) problems.push(`${task.id} names error ${number}; there are ${errors.length}.`);
    }
    for (const other of task.dependsOn) {
      const at = ids.indexOf(other);
      if (at === -1 || at >= i) problems.push(`${task.id} depends on ${other}, which is not before it here.`);
    }
    for (const other of tasks.slice(i + 1)) {
      if (scopesOverlap(task.scope, other.scope)) {
        problems.push(`${task.id} and ${other.id} have the same files in their scope: make them one task.`);
      }
    }
  }
  return problems;
}

/** The proposal as tasks of the run: first in line, one agent each, with the errors that they are to mend. */
export function fixTasks({ tasks }: Fixes, errors: readonly CheckError[], checks: readonly CheckRun[]): MadeFixes {
  const claims = tasks.map(({ id, errors: named, scope }) => ({
    id,
    errors: named?.flatMap((number) => errors[number - 1] ?? []) ?? errors.filter((error) => isIn(error, scope)),
  }));
  const made = errors.map((error) => {
    const claimed = claims.filter((claim) => claim.errors.includes(error)).map(({ id }) => id);
    // What nobody claims waits until these have landed, and is looked at again then.
    return { error, tasks: claimed.length > 0 ? claimed : claims.map(({ id }) => id) };
  });
  return {
    made,
    tasks: tasks.map(({ errors: _, ...task }, i) =>
      asFix(task, claims[i]?.errors ?? [], tasks.length === 1 ? failing(checks) : []),
    ),
  };
}

/** One task for each failing check, where no model could say better: at most 5, the last takes the rest. */
export function plainFixes(
  errors: readonly CheckError[],
  checks: readonly CheckRun[],
  { number, taken }: { number: number; taken: readonly string[] },
): MadeFixes {
  const byCheck = Map.groupBy(errors, ({ check }) => check);
  const groups = [...byCheck.entries()].map(([name, own]) => ({ names: [name], errors: own }));
  for (const { names, errors: own } of groups.splice(MAX_TASKS)) {
    const last = groups[MAX_TASKS - 1];
    last?.names.push(...names);
    last?.errors.push(...own);
  }
  const tasks = groups.map(({ names, errors: own }, i): TaskSpec => {
    const ran = checks.filter(({ name }) => names.includes(name));
    const tails = ran.map(({ command = '', tail }) => `$ ${command}\n${tail.slice(-TAIL_CHARS)}`);
    const description = `Make the check ${names.join(', ')} pass again.\n\nThe end of what it writes:\n\n${tails.join('\n\n')}`;
    const id = freeId(`fix-${number}-${i + 1}`, taken);
    const task = { id, description, scope: [], acceptance: [], priority: 1, dependsOn: [] };
    return asFix(task, own, ran);
  });
  const made = groups.flatMap(({ errors: own }, i) => own.map((error) => ({ error, tasks: [tasks[i]?.id ?? ''] })));
  return { tasks, made };
}

/** @param passing checks that this task alone has to make pass. */
function asFix(task: TaskSpec, errors: readonly CheckError[], passing: readonly CheckRun[]): TaskSpec {
  const listed = errors.slice(0, ERRORS_TOLD).map((error) => `- ${errorText(error)}`);
  const more = errors.length > listed.length ? [`- and ${errors.length - listed.length} more`] : [];
  const list = listed.length === 0 ? [] : ['What the checks say:', [...listed, ...more].join('\n')];
  const commands = new Set(task.acceptance.map(({ command }) => command));
  const added = passing.flatMap(({ name, command }): AcceptanceCriterion[] =>
    command === undefined || commands.has(command) ? [] : [{ text: `The check "${name}" passes.`, command }],
  );
  return {
    ...task,
    priority: 1,
    divide: false,
    description: [task.description.trim(), ...list, RULE].join('\n\n').slice(0, MAX_DESCRIPTION_CHARS),
    acceptance: [...task.acceptance, ...added].slice(0, 30),
  };
}

/** `src/a.ts:3:7 TS2322: …`. */
export function errorText({ file, line, column, code, message }: CheckError): string {
  const location = [file, line, column].filter((part) => part !== undefined).join(':');
  return [`${location}${code === undefined ? '' : ` ${code}`}`.trim(), message]
    .filter((part) => part !== '')
    .join(': ');
}

const failing = (checks: readonly CheckRun[]): CheckRun[] => checks.filter(({ status }) => status !== 'passed');

const isIn = ({ file }: CheckError, scope: readonly string[]): boolean =>
  file !== undefined && scope.some((path) => (path.endsWith('/') ? file.startsWith(path) : file === path));

function freeId(baseId: string, taken: readonly string[]): string {
  let id = baseId;
  for (let n = 2; taken.includes(id); n++) id = `${baseId}-${n}`;
  return TaskId.parse(id);
}
