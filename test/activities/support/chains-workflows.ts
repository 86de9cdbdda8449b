/** Workflows that end in every way there is. */
import {
  ApplicationFailure,
  condition,
  continueAsNew,
  executeChild,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';

export async function returns(result: unknown): Promise<unknown> {
  return result;
}

export async function fails(message: string): Promise<void> {
  throw ApplicationFailure.nonRetryable(message);
}

export async function waits(): Promise<void> {
  await condition(() => false);
}

/** Goes on `runs` times as new, then returns `result`, or waits when there is none. */
export async function goesOn(runs: number, result: unknown): Promise<unknown> {
  if (runs > 0) await continueAsNew<typeof goesOn>(runs - 1, result);
  if (result === null) await condition(() => false);
  return result;
}

/** Fails its workflow task, again and again, as what a changed worker cannot replay does. Its child only waits. */
export async function cannotGoOn(childId: string | null): Promise<void> {
  if (childId !== null) await startChild(waits, { workflowId: childId, parentClosePolicy: 'ABANDON' });
  throw new TypeError('the code of this worker is wrong');
}

/** Waits for a child that cannot go on. */
export async function waitsForStuck(): Promise<void> {
  await executeChild(cannotGoOn, { workflowId: `${workflowInfo().workflowId}/child`, args: [null] });
}
