/** How an update's validator refuses: at once, with the reason that the person reads. */
import { ApplicationFailure } from '@temporalio/workflow';
import { PLANNER_TEXT } from '../shared/run-text.ts';

export const MAX_SAID_CHARS = 8_000;

export function refused(reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, 'Refused');
}

export function refuseUnless(holds: boolean, reason: string): void {
  if (!holds) throw refused(reason);
}

export function refuseLong(text: string | undefined): void {
  refuseUnless((text?.length ?? 0) <= MAX_SAID_CHARS, PLANNER_TEXT.tooLong(MAX_SAID_CHARS));
}
