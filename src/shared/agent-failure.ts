/** The failure of an agent's workflow, with what its calls had used: they are paid, whatever became of the work. Pure. */
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import { AgentMetrics } from './contracts/task.ts';
import { failureTypeOf, rootMessage } from './failures.ts';

const Details = z.object({ metrics: AgentMetrics });

/** The same in words and type, for good. */
export function agentFailure(error: unknown, metrics: AgentMetrics): ApplicationFailure {
  const type = failureTypeOf(error);
  return ApplicationFailure.create({
    message: rootMessage(error),
    nonRetryable: true,
    details: [{ metrics } satisfies z.infer<typeof Details>],
    ...(type === undefined ? {} : { type }),
    ...(error instanceof Error ? { cause: error } : {}),
  });
}

/** What a failed agent had used; undefined where it does not say. */
export function metricsOf(error: unknown): AgentMetrics | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    const parsed = at instanceof ApplicationFailure ? Details.safeParse(at.details?.[0]) : undefined;
    if (parsed?.success === true) return parsed.data.metrics;
  }
  return undefined;
}
