/** Parsing a workflow's input: a ZodError thrown in a workflow would retry the workflow task for ever. */
import type { z } from 'zod';
import { FailureType, terminal } from '../shared/failures.ts';
import { describeIssues } from '../shared/settings.ts';

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
