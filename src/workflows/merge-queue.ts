/**
 * Lands branches on one branch of one repository, for all runs: one batch after the other, each with one
 * activity that lands and one that answers. It ends when nothing waits; the next request starts it again.
 */
import { condition, continueAsNew, isCancellation, log, setHandler, workflowInfo } from '@temporalio/workflow';
import { type AnswerRequest, MergeQueueInput, MergeRequest } from '../shared/contracts/merge.ts';
import { rootMessage } from '../shared/failures.ts';
import { enqueueSignal, mergeQueueSnapshotQuery } from '../shared/messages.ts';
import { answerActivities, mergeActivities } from './activities.ts';
import { parseInput, parseSignal } from './input.ts';
import { MergeQueueState } from './merge-queue-state.ts';

/** How long a queue without work stays open: the next landing of a busy run need not start it again. */
const IDLE = '3s';

export async function mergeQueue(raw: MergeQueueInput): Promise<{ landed: number }> {
  const input = parseInput(MergeQueueInput, raw, 'mergeQueue');
  const state = new MergeQueueState(input);
  setHandler(enqueueSignal, (raw) => {
    const entry = parseSignal(MergeRequest, raw, 'enqueue');
    if (entry !== undefined) state.add(entry);
  });
  setHandler(mergeQueueSnapshotQuery, () => state.snapshot());

  // A request may come together with the end of the wait: it is looked for once more before the queue ends.
  while ((await condition(() => state.hasWork, IDLE)) || state.hasWork) {
    const entries = state.takeBatch();
    if (entries.length > 0) {
      try {
        const result = await mergeActivities.landBatch({ repo: input.repo, target: input.target, entries });
        state.decided(result.outcomes);
      } catch (error) {
        if (isCancellation(error)) throw error;
        // Only a terminal failure ends the activity's retries: nobody waits for what cannot come.
        state.decidedAll({ kind: 'refused', reason: rootMessage(error) });
      }
    }
    await answer(state.takeAnswers());
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if ((continueAsNewSuggested || historyLength > MAX_EVENTS) && !state.owesAnswers) {
      const carried = { repo: input.repo, target: input.target, state: state.toJSON() };
      // What is too long to be carried on is landed first: it only gets shorter.
      if (JSON.stringify(carried).length <= MAX_CARRIED_CHARS) await continueAsNew<typeof mergeQueue>(carried);
    }
  }
  return { landed: state.snapshot().landed };
}

/** Whoever is not reached asks again, and is answered from memory then. */
async function answer(answers: AnswerRequest['answers']): Promise<void> {
  try {
    await answerActivities.answerRequesters({ answers });
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('some requesters could not be answered; they ask again', { reason: rootMessage(error) });
  }
}

const MAX_CARRIED_CHARS = 512_000;
/** Signals are events too, and 10,000 of them end a run: well below that. */
const MAX_EVENTS = 4_000;
