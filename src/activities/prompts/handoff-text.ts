/** Handoffs, events and tasks as agents are told of them. Lines that others wrote are indented or escaped. Pure. */
import type { PlanningNews } from '../../shared/contracts/activities.ts';
import type { Handoff, TaskSpec } from '../../shared/contracts/task.ts';
import { data, indentRest } from './text.ts';
import { cutEnd, escapeControls } from '../support/text.ts';

const POINT_BYTES = 1_500;
const HANDOFF_BYTES = 12_000;
const ALL_HANDOFFS_BYTES = 150_000;
const FILES_SHOWN = 40;

/** `### Handoff: <task id> (attempt <n>): <status>`, then `summary: …`, `- concern: …`, `- suggestion: …`. */
export function handoffBlocks(handoffs: PlanningNews['handoffs']): string {
  const each = Math.min(HANDOFF_BYTES, Math.floor(ALL_HANDOFFS_BYTES / Math.max(1, handoffs.length)));
  return handoffs
    .map(({ taskId, attempt, handoff }) => {
      const heading = `### Handoff: ${taskId} (attempt ${attempt}): ${handoff.status}`;
      return `${heading}\n${cutEnd(handoffLines(handoff), each)}`;
    })
    .join('\n\n');
}

/** The body of one handoff: every line is a key, a list item or an indented continuation. */
export function handoffLines(handoff: Handoff): string {
  const { summary, concerns, suggestions, filesChanged, metrics, checks } = handoff;
  const point = (text: string): string => indentRest(cutEnd(text, POINT_BYTES));
  const shown = filesChanged.slice(0, FILES_SHOWN).map(escapeControls);
  const more = filesChanged.length > shown.length ? ` and ${filesChanged.length - shown.length} more` : '';
  return [
    `summary: ${indentRest(summary)}`,
    ...concerns.map((concern) => `- concern: ${point(concern)}`),
    ...suggestions.map((suggestion) => `- suggestion: ${point(suggestion)}`),
    filesChanged.length === 0 ? 'files changed: none' : `files changed: ${shown.join(', ')}${more}`,
    ...(checks ?? []).map(({ name, status }) => `- check ${status}: ${point(name)}`),
    `used: ${metrics.turns} turns, ${metrics.inputTokens + metrics.outputTokens} tokens`,
  ].join('\n');
}

/** `- <text>`, one item each. */
export const items = (texts: readonly string[]): string => texts.map((text) => `- ${indentRest(text)}`).join('\n');

export const openTasks = (open: PlanningNews['open']): string =>
  open
    .map(
      ({ id, status, scope }) =>
        `- ${id} (${status}): ${scope.length === 0 ? 'no scope' : scope.map(escapeControls).join(', ')}`,
    )
    .join('\n');

/** A task as its agent is told of it: the assignment is the planner's and is fenced as such. */
export function assignment(task: TaskSpec): string {
  const criteria = task.acceptance.map(
    ({ text, command }) => `- ${indentRest(text)}${command === undefined ? '' : `\n  check: ${indentRest(command)}`}`,
  );
  return [
    data('the planner: your assignment', task.description),
    '## Acceptance criteria',
    criteria.length === 0
      ? 'None was given: what the assignment says, shown by tests.'
      : data('the planner', criteria.join('\n')),
    '## Scope',
    task.scope.length === 0 ? 'None was given.' : task.scope.map((path) => `- ${escapeControls(path)}`).join('\n'),
  ].join('\n\n');
}
