/** Parsing what a workflow is sent: a ZodError thrown in a workflow would retry the workflow task for ever. */
import { log } from '@temporalio/workflow';
import type { z } from 'zod';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { describeIssues } from '../../shared/contracts/run-settings.ts';

export function parseInput<S extends z.ZodType>(schema: S, raw: unknown, workflow: string): z.infer<S> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw terminal(
    FailureType.BadInput,
    `The input of workflow "${workflow}" is not usable:\n${describeIssues(parsed.error, '')}`,
    'Correct it and start the workflow again.',
    parsed.error,
  );
}

/** A signal's argument, or undefined (and a warning) when it is not what it should be: anyone can send a signal. */
export function parseSignal<S extends z.ZodType>(schema: S, raw: unknown, signal: string): z.infer<S> | undefined {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  log.warn('a signal is dropped: its argument is not usable', { signal, issues: describeIssues(parsed.error, '') });
  return undefined;
}
