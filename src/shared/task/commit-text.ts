/** The words of a task's commit. */
import type { TaskSpec } from '../contracts/task.ts';

/** A merge queue carries the requests of all runs through continue-as-new. */
const MAX_BODY_CHARS = 4_000;

export function subjectOf({ id, description }: Pick<TaskSpec, 'id' | 'description'>): string {
  const [line = ''] = description.trim().split('\n');
  return `${id}: ${line.length > 100 ? `${line.slice(0, 99)}…` : line}`;
}

/** @param share of the room that there is. */
export const bodyOf = (text: string, share = 1): string => text.slice(0, MAX_BODY_CHARS * share);
