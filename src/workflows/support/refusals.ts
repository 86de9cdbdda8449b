/** How an update's validator refuses: at once, with the reason that the person reads. */
import { ApplicationFailure } from '@temporalio/workflow';
import type { z } from 'zod';
import { PLANNER_TEXT } from '../../shared/planner/text.ts';
import { describeIssues } from '../../shared/contracts/run-settings.ts';

export function refused(reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, 'Refused');
}

export function refuseUnless(holds: boolean, reason: string): void {
  if (!holds) throw refused(reason);
}

/** Refuses with this reason, where there is one. */
export function refuseIf(reason: string | undefined): void {
  if (reason !== undefined) throw refused(reason);
}

/** What an update was given, with its defaults; anyone can send one. */
export function parseUpdate<S extends z.ZodType>(schema: S, raw: unknown, update: string): z.output<S> {
  const parsed = schema.safeParse(raw ?? {});
  if (parsed.success) return parsed.data;
  throw refused(PLANNER_TEXT.notUnderstood(update, describeIssues(parsed.error, '')));
}
