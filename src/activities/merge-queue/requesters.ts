/** Answers of merge queues to those who asked, through Temporal's client. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Log } from '../support/log.ts';
import type { AnswerRequest } from '../../shared/contracts/merge.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { mergeOutcomeSignal } from '../../shared/messages.ts';
import { firstRunOf } from '../support/chain-watch.ts';

const AT_ONCE = 16;
const RACES = 5;
/** The server refuses what is none, where it is to be called unknown. */
const RUN_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Signals each requester that still runs as the chain which asked. The client's `firstExecutionRunId` is honoured
 * for cancel and terminate only, so a run of the chain is signalled by its run id: a signal cannot reach a later
 * workflow of the same id. It is the first where that is open, as with all that never continue as new; else it is
 * looked up.
 * @throws the first failure, after all were tried: whoever gets an answer twice knows it by its id.
 */
export async function answerRequesters(client: Client, request: AnswerRequest, log?: Log): Promise<void> {
  const waiting = [...request.answers];
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { requester, answer } = next;
      try {
        const delivered = await signalChain(client, requester, async (handle) =>
          handle.signal(mergeOutcomeSignal, answer),
        );
        if (!delivered)
          log?.info({ requester, answer: answer.id }, 'the requester has ended, so its answer is dropped');
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
  if (RUN_ID.test(chain.firstRunId) && (await reached(client, chain, chain.firstRunId, signal))) return true;
  let seen: string | undefined;
  for (let race = 0; race < RACES; race++) {
    try {
      const now = await client.workflow.getHandle(chain.workflowId).describe();
      if (firstRunOf(now) !== chain.firstRunId) return false;
      if (now.runId === seen) return false;
      seen = now.runId;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
    // If not, it ended or continued as new since the look-up: the next look tells.
    if (await reached(client, chain, seen, signal)) return true;
  }
  throw new Error(`workflow ${chain.workflowId} continued as new ${RACES} times while it was to be signalled`);
}

/** @returns false when this run is not open. */
async function reached(
  client: Client,
  { workflowId }: Chain,
  runId: string,
  signal: (handle: Handle) => Promise<void>,
): Promise<boolean> {
  try {
    await signal(client.workflow.getHandle(workflowId, runId));
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
