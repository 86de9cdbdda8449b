/** How other workflows stand, as the server says: for parents whose children are silent. */
import { type Client, WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import type { ChainStatus, RunActivities } from '../../shared/contracts/activities.ts';
import { TaskResult } from '../../shared/contracts/task.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { firstRunOf } from './chain-watch.ts';
import { stuckOf } from './stuck.ts';

/** Describes in flight at once: the server answers one in about 5 ms. */
const AT_ONCE = 20;

/** @returns `describeChains` of RunActivities. Errors of the server are thrown: another attempt may reach it. */
export function createDescribeChains({ client }: { client: Client }): RunActivities['describeChains'] {
  return async ({ chains }) => {
    const statuses: ChainStatus[] = [];
    for (let i = 0; i < chains.length; i += AT_ONCE) {
      statuses.push(...(await Promise.all(chains.slice(i, i + AT_ONCE).map((chain) => describeChain(client, chain)))));
    }
    return statuses;
  };
}

async function describeChain(client: Client, { workflowId, firstRunId }: Chain): Promise<ChainStatus> {
  try {
    const found = await client.workflow.getHandle(workflowId).describe();
    if (firstRunOf(found) !== firstRunId) return { kind: 'missing' };
    switch (found.status.name) {
      case 'RUNNING':
      case 'PAUSED':
      case 'CONTINUED_AS_NEW':
      case 'UNSPECIFIED':
      case 'UNKNOWN': {
        const stuck = await stuckOf(client, found);
        return stuck === undefined ? { kind: 'running' } : { kind: 'running', stuck };
      }
      case 'COMPLETED':
      case 'FAILED':
      case 'TERMINATED':
      case 'TIMED_OUT':
      case 'CANCELLED':
        return await ending(client, workflowId, found.runId, found.status.name);
    }
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { kind: 'missing' };
    throw error;
  }
}

/** The end of exactly this run: the id may be another chain's by the time its history is read. */
async function ending(client: Client, workflowId: string, runId: string, status: string): Promise<ChainStatus> {
  try {
    const result: unknown = await client.workflow.getHandle(workflowId, runId, { followRuns: false }).result();
    const parsed = TaskResult.safeParse(result);
    return { kind: 'completed', result: parsed.success ? parsed.data : null };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return {
      kind: 'failed',
      reason: `${status.toLowerCase().replace('_', ' ')}: ${rootMessage(error)}`.slice(0, 2_000),
    };
  }
}
