/** What a planner keeps of what its tasks tell. Pure. */
import type { CheckResult, Handoff, OutcomeMessage, Used } from '../../../shared/contracts/task.ts';
import { boundedPaths } from '../../../shared/task/handoff-size.ts';
import type { TaskRecord } from './task-record.ts';

/** Of one division, with all below it, as they are reported. */
const MAX_SUBTASKS = 60;

export const usedBy = ({ metrics, estimated, unmeasured }: Handoff): Used => ({
  metrics,
  estimated: unmeasured === true ? {} : estimated,
});

export const usedForConflicts = (told: Pick<OutcomeMessage, 'conflictMetrics' | 'conflictEstimated'>): Used => ({
  metrics: told.conflictMetrics,
  estimated: told.conflictEstimated,
});

const MAX_FAILED = 5;
const FAILED_CHARS = 80;

/** What was unchecked counts among all, and not as met. */
function criteriaOf(checks: readonly CheckResult[]): NonNullable<TaskRecord['criteria']> {
  const failed = checks.filter(({ status }) => status === 'failed').map(({ name }) => name.slice(0, FAILED_CHARS));
  return {
    met: checks.filter(({ status }) => status === 'passed').length,
    of: checks.length,
    ...(failed.length === 0 ? {} : { failed: failed.slice(0, MAX_FAILED) }),
  };
}

/**
 * What is reported of a task's own handoff: of few subtasks all that their division hands up, of a run's tasks, which
 * may be hundreds, little.
 */
export function told(
  task: TaskRecord,
  { concerns, suggestions, filesChanged, subtasks, checks }: Handoff,
  whole: boolean,
): void {
  const most = whole ? { points: 5, chars: 300, paths: 2_000 } : { points: 1, chars: 80, paths: 0 };
  const points = (texts: string[]) => texts.slice(0, most.points).map((text) => text.slice(0, most.chars));
  task.told = {
    concerns: points(concerns),
    ...(whole ? { suggestions: points(suggestions), files: boundedPaths(filesChanged, most.paths) } : {}),
  };
  if (subtasks !== undefined) task.subtasks = subtasks.slice(0, MAX_SUBTASKS);
  if (checks !== undefined && checks.length > 0) task.criteria = criteriaOf(checks);
}
