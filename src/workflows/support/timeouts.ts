/** Which failures of activities are the silence of a worker. Pure. */
import { ApplicationFailure, TimeoutFailure } from '@temporalio/workflow';

/** Whether nobody has answered in time: not whether an activity said that something else did not. */
export function isTimeout(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (at instanceof TimeoutFailure) return true;
    if (at instanceof ApplicationFailure) return false;
  }
  return false;
}
