/** Messages to and from merge queues through Temporal's client. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Log } from '../log.ts';
import type { AnswerRequest } from '../../shared/contracts/merge.ts';
import type { Chain } from '../../shared/ids.ts';
import { mergeOutcomeSignal } from '../../shared/messages.ts';

const AT_ONCE = 16;
const RACES = 5;

/**
 * Signals each requester that still runs as the chain which asked. The client's `firstExecutionRunId` is honoured
 * for cancel and terminate only, so the chain's current run is looked up and signalled by its run id: a signal
 * cannot reach a later workflow of the same id.
 * @throws the first failure, after all were tried: whoever gets an answer twice knows it by its id.
 */
export async function answerRequesters(client: Client, request: AnswerRequest, log?: Log): Promise<void> {
  const waiting = [...request.answers];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { requester, answer } = next;
      try {
        const told = await signalChain(client, requester, async (handle) => handle.signal(mergeOutcomeSignal, answer));
        if (!told) log?.info({ requester, answer: answer.id }, 'the requester has ended, so its answer is dropped');
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${request.answers.length} requesters could not be answered`, {
      cause: failures[0],
    });
  }
}

type Handle = ReturnType<Client['workflow']['getHandle']>;

/** @returns false when the chain has ended, or its workflow id belongs to another chain. */
async function signalChain(client: Client, chain: Chain, signal: (handle: Handle) => Promise<void>): Promise<boolean> {
  let seen: string | undefined;
  for (let race = 0; race < RACES; race++) {
    try {
      const now = await client.workflow.getHandle(chain.workflowId).describe();
      const first = now.raw.workflowExecutionInfo?.firstRunId;
      if ((first == null || first === '' ? now.runId : first) !== chain.firstRunId) return false;
      if (now.runId === seen) return false;
      seen = now.runId;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
    try {
      await signal(client.workflow.getHandle(chain.workflowId, seen));
      return true;
    } catch (error) {
      // Ended, or continued as new since the look-up: the next look tells.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
  throw new Error(`workflow ${chain.workflowId} continued as new ${RACES} times while it was to be signalled`);
}
