/** Which tasks are divided by a subplanner, what a division may contain, and what it hands up. Pure. */
import type { AgentMetrics, Handoff, TaskSpec } from '../contracts/task.ts';
import type { TaskReport } from '../contracts/run.ts';
import { isDone } from './dispatch.ts';
import { pathsOverlap } from './scopes.ts';
import { undone } from './successors.ts';

export type DivisionRules = { scope: number; depth: number; subtasks: number };

const FOLDER_ENTRIES = 4;

/** Entries of a scope; a folder counts as four. */
export const scopeSize = (scope: readonly string[]): number =>
  scope.reduce((size, path) => size + (path.endsWith('/') ? FOLDER_ENTRIES : 1), 0);

/** Whether a task of a planner at `depth` (0: the root) is given to a subplanner. */
export function isDivided(task: Pick<TaskSpec, 'scope' | 'divide'>, depth: number, rules: DivisionRules): boolean {
  if (depth >= rules.depth) return false;
  return task.divide ?? scopeSize(task.scope) >= rules.scope;
}

/** What a division's plan must keep beyond any plan's rules: one exact line for each broken one. */
export function checkDivision(
  tasks: readonly Pick<TaskSpec, 'id' | 'scope'>[],
  known: number,
  within: { scope: readonly string[]; subtasks: number },
): string[] {
  const errors: string[] = [];
  const count = known + tasks.length;
  if (count > within.subtasks)
    errors.push(
      `a division has at most ${within.subtasks} subtasks in all; this makes ${count} (${known} were planned before): join some`,
    );
  if (within.scope.length === 0) return errors;
  for (const { id, scope } of tasks) {
    const outside = scope.filter((path) => !within.scope.some((parent) => covers(parent, path)));
    if (outside.length > 0)
      errors.push(
        `task "${id}" names ${outside.join(', ')}, outside the scope of the task that is divided (${within.scope.join(', ')}): others may be at work there`,
      );
  }
  return errors;
}

/** Whether everything at `path` is at `parent` too. */
const covers = (parent: string, path: string): boolean =>
  parent === path || (parent.endsWith('/') && pathsOverlap(parent, path) && path.startsWith(parent));

export type Part = {
  report: TaskReport;
  files: readonly string[];
  concerns: readonly string[];
  suggestions: readonly string[];
};

/**
 * One handoff for all subtasks: complete when each is done, by itself or by what was planned in its place, failed when
 * none is, else partial. Files, concerns and
 * suggestions are merged, each once; what did not land is named as a concern.
 */
export function aggregateHandoff(parts: readonly Part[], metrics: AgentMetrics, stopped?: string): Handoff {
  const done = parts.filter(({ report }) => isDone(report));
  const left = undone(parts.map(({ report }) => report));
  const open = parts.filter(({ report }) => left.includes(report));
  const status = stopped === undefined && open.length === 0 ? 'complete' : done.length === 0 ? 'failed' : 'partial';
  const partLines = parts.map(({ report: { id, status: how, branch, reason } }) =>
    [`${id}: ${how}${branch === 'landed' ? ', landed' : ''}`, ...(reason === undefined ? [] : [reason])].join(': '),
  );
  const concerns = [
    ...(stopped === undefined ? [] : [stopped]),
    ...open.map(({ report: { id, reason } }) => `${id} is not done${reason === undefined ? '' : `: ${reason}`}`),
    ...parts.flatMap((part) => part.concerns),
  ];
  return {
    status,
    summary: [`Divided into ${parts.length} subtasks, ${done.length} done.`, ...partLines].join('\n'),
    concerns: [...new Set(concerns)],
    suggestions: [...new Set(parts.flatMap((part) => part.suggestions))],
    filesChanged: [...new Set(parts.flatMap((part) => part.files))].sort(),
    metrics,
    subtasks: parts.flatMap(({ report }) => flattened(report)),
  };
}

/** A task and all below it, ids as paths. */
function flattened({ subtasks = [], ...report }: TaskReport): TaskReport[] {
  return [report, ...subtasks.map((below) => ({ ...below, id: `${report.id}/${below.id}` }))];
}
