/**
 * The failure of an agent's workflow, or the cancellation of its task, with what its calls had used: they are paid,
 * whatever became of the work. Pure.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { Budget } from '../contracts/budget.ts';
import { type AgentMetrics, Used } from '../contracts/task.ts';
import { failureTypeOf, rootMessage } from '../base/failures.ts';

/** The same in words and type, for good. `estimated` as in Used. */
export function agentFailure(error: unknown, metrics: AgentMetrics, estimated?: Budget): ApplicationFailure {
  const type = failureTypeOf(error);
  return ApplicationFailure.create({
    message: rootMessage(error),
    nonRetryable: true,
    details: [detailsOf({ metrics, estimated })],
    ...(type === undefined ? {} : { type }),
    ...(error instanceof Error ? { cause: error } : {}),
  });
}

/** A cancellation that says what was used before it. */
export function cancelledAfter(error: unknown, used: Used): CancelledFailure {
  return new CancelledFailure(rootMessage(error), [detailsOf(used)], error instanceof Error ? error : undefined);
}

/** What a failed agent had used, or one that was cancelled; undefined where the error does not say. */
export function usedBefore(error: unknown): Used | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (!(at instanceof ApplicationFailure || at instanceof CancelledFailure)) continue;
    const parsed = Used.safeParse(at.details?.[0]);
    if (parsed.success) return parsed.data;
  }
  return undefined;
}

const detailsOf = ({ metrics, estimated }: Used): Used =>
  estimated === undefined ? { metrics } : { metrics, estimated };
