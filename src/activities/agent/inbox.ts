/** What people have said to an external agent: its workflow is asked, as it gets their signals. */
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import { AgentMessage } from '../../shared/contracts/agent-run.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { saidQuery } from '../../shared/messages.ts';
import type { Log } from '../support/log.ts';

const DEADLINE_MS = 5_000;

export interface InboxSource {
  /** All messages that the agent's workflow has not handled, delivered or not; none where it does not answer in time. */
  messages(agent: Chain): Promise<AgentMessage[]>;
}

export function createInboxSource(client: Client, log: Log): InboxSource {
  return {
    async messages({ workflowId, firstRunId }) {
      const handle = client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId: firstRunId });
      try {
        const answer = await client.withDeadline(Date.now() + DEADLINE_MS, () => handle.query<unknown>(saidQuery.name));
        return z.array(AgentMessage).parse(answer);
      } catch (error) {
        // It is asked again before the next call of the model.
        log.warn({ workflowId, err: error }, 'an external agent could not be told what people say');
        return [];
      }
    },
  };
}
