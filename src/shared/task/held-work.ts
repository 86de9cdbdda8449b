/** Work that a guard holds, as a task tells its planner of it; and work that a person has released. Pure. */
import type { HeldWork, Release } from '../contracts/held.ts';
import { type Handoff, NO_METRICS } from '../contracts/task.ts';
import { boundedPaths } from './handoff-size.ts';
import { TASK_TEXT } from './text.ts';

/** Planners carry them through continue-as-new. */
const MAX_SUMMARY_CHARS = 1_000;
const MAX_FILES_CHARS = 1_000;

/** @param began where the task's work began. */
export function heldWork(
  by: HeldWork['by'],
  at: { commit: string; base: string; ref: string },
  { summary, filesChanged }: Pick<Handoff, 'summary' | 'filesChanged'>,
  began: string = at.base,
): HeldWork {
  const { commit, base, ref } = at;
  return {
    by,
    commit,
    ref,
    base,
    ...(began === base ? {} : { since: began }),
    summary: summary.slice(0, MAX_SUMMARY_CHARS),
    files: boundedPaths(filesChanged, MAX_FILES_CHARS),
  };
}

/** The handoff of an attempt without an agent, with where its work began. */
export function releasedWork({ reason, ...held }: Release): { handoff: Handoff; base: string } {
  return {
    base: held.since ?? held.base,
    handoff: {
      status: 'complete',
      summary: held.summary,
      concerns: [TASK_TEXT.releasedByPeople(held.by, reason)],
      suggestions: [],
      filesChanged: held.files,
      metrics: NO_METRICS,
      commit: held.commit,
      held,
    },
  };
}
