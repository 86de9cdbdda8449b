/** Stands where a task or a queue stands: takes the signals under test, and can continue as new. */
import { condition, continueAsNew, defineQuery, defineSignal, setHandler } from '@temporalio/workflow';
import type { MergeAnswer, MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { enqueueSignal, mergeOutcomeSignal } from '../../../src/shared/messages.ts';

export const againSignal = defineSignal('again');
export const finishSignal = defineSignal('finish');
export const answersQuery = defineQuery<MergeAnswer[]>('answers');
export const requestsQuery = defineQuery<{ input: unknown; requests: MergeRequest[] }>('requests');

export async function requester(answers: MergeAnswer[] = []): Promise<void> {
  let next: 'again' | 'finish' | undefined;
  setHandler(mergeOutcomeSignal, (answer) => void answers.push(answer));
  setHandler(againSignal, () => void (next = 'again'));
  setHandler(finishSignal, () => void (next = 'finish'));
  setHandler(answersQuery, () => answers);
  await condition(() => next !== undefined);
  if (next === 'again') await continueAsNew<typeof requester>(answers);
}

/** @public Started by `enqueueMerge`, by its name on the wire. */
export async function mergeQueue(input: unknown): Promise<void> {
  const requests: MergeRequest[] = [];
  setHandler(enqueueSignal, (request) => void requests.push(request));
  setHandler(requestsQuery, () => ({ input, requests }));
  await condition(() => false);
}
