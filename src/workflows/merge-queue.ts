/**
 * Lands branches on one branch of one repository, for all runs: one batch after the other, each with one
 * activity that lands and one that answers. It ends when nothing waits; the next request starts it again.
 */
import { condition, continueAsNew, isCancellation, setHandler, workflowInfo } from '@temporalio/workflow';
import { MergeQueueInput } from '../shared/contracts/merge.ts';
import { rootMessage } from '../shared/failures.ts';
import { enqueueSignal, mergeQueueSnapshotQuery } from '../shared/messages.ts';
import { mergeActivities } from './activities.ts';
import { parseInput } from './input.ts';
import { MergeQueueState } from './merge-queue-state.ts';

/** How long a queue without work stays open: the next landing of a busy run need not start it again. */
const IDLE = '3s';

export async function mergeQueue(raw: MergeQueueInput): Promise<{ landed: number }> {
  const input = parseInput(MergeQueueInput, raw, 'mergeQueue');
  const state = new MergeQueueState(input);
  setHandler(enqueueSignal, (entry) => state.add(entry));
  setHandler(mergeQueueSnapshotQuery, () => state.snapshot());

  while (await condition(() => state.hasWork, IDLE)) {
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
    await mergeActivities.answerRequesters({ answers: state.takeAnswers() });
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if ((continueAsNewSuggested || historyLength > MAX_EVENTS) && !state.owesAnswers) {
      await continueAsNew<typeof mergeQueue>({ repo: input.repo, target: input.target, state: state.toJSON() });
    }
  }
  return { landed: state.snapshot().landed };
}

/** Signals are events too, and 10,000 of them end a run: well below that. */
const MAX_EVENTS = 4_000;
