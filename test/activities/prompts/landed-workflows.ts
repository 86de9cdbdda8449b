/** A workflow with a task's input that ends with a task's result, or waits when there is none. */
import { condition } from '@temporalio/workflow';

export async function gives(_input: unknown, result: unknown): Promise<unknown> {
  if (result === null) await condition(() => false);
  return result;
}
