/** What a planner's new conversation is told of the tasks before it. Pure. */
import type { Resume } from '../../../shared/contracts/activities.ts';
import { isDone } from '../../../shared/planner/dispatch.ts';
import type { TaskRecord } from './task-record.ts';

/** Of tasks that are done, the newest; of all others, the newest too, should there be very many. */
const MAX_DONE = 100;
const MAX_OTHERS = 300;
const DESCRIPTION_CHARS = 200;
const DONE_CHARS = 80;

/**
 * First what is open or lost, then what is done, newest first: a list that is too long is cut at its end. What is
 * older is in the scratchpad, as far as it matters.
 */
export function tasksToResume(tasks: readonly TaskRecord[]): Pick<Resume, 'tasks' | 'older'> {
  const others = tasks.filter((task) => !isDone(task)).slice(-MAX_OTHERS);
  const done = tasks.filter(isDone).slice(-MAX_DONE).reverse();
  const older = tasks.length - others.length - done.length;
  const shown = (task: TaskRecord, chars: number) => ({
    id: task.spec.id,
    description: task.spec.description.slice(0, chars),
    status: task.status,
    branch: task.branch,
  });
  return {
    tasks: [...others.map((task) => shown(task, DESCRIPTION_CHARS)), ...done.map((task) => shown(task, DONE_CHARS))],
    ...(older === 0 ? {} : { older }),
  };
}
