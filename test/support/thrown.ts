/** What was thrown, with the fields of our errors and of Temporal's to look at. */
import { WorkflowUpdateFailedError } from '@temporalio/client';

export type Thrown = Error & {
  type?: string;
  nonRetryable?: boolean;
  kind?: string;
  argv?: readonly string[];
  output?: string;
};

/** Throws itself when the promise is fulfilled, or is rejected with something that is no Error. */
export async function thrownBy(promise: Promise<unknown>): Promise<Thrown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    value = error;
  }
  throw new Error(`an error was expected, not ${JSON.stringify(value)}`);
}

/** Why an update was refused. Throws what else went wrong with it, also that it was accepted. */
export async function refusal(update: Promise<unknown>): Promise<string> {
  const error = await thrownBy(update);
  if (!(error instanceof WorkflowUpdateFailedError)) throw error;
  return error.cause?.message ?? '';
}
