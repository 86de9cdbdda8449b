/** Keeps what activities put into conversations, so that the next call of the same process need not ask for it. */
import { Context } from '@temporalio/activity';
import type { RunActivities, SandboxActivities } from '../../shared/contracts/activities.ts';
import type { Message } from '../../shared/contracts/agent.ts';
import type { RecentMessages } from '../llm/recent-messages.ts';

type Briefs = Pick<RunActivities, 'briefPlanner' | 'briefWorker' | 'briefConflict'>;

/** The same activities; what the model will see of their results is added to `recent`. */
export function remembering<R extends Briefs, S extends Pick<SandboxActivities, 'act'>>(
  recent: RecentMessages,
  { run, sandbox }: { run: R; sandbox: S },
): { run: R; sandbox: S } {
  const keep = (messages: readonly Message[]): void => {
    const agent = Context.current().info.workflowExecution;
    if (agent !== undefined) for (const message of messages) recent.add(agent, message);
  };
  const briefing =
    <Q, A extends { messages: Message[] }>(brief: (request: Q) => Promise<A>) =>
    async (request: Q): Promise<A> => {
      const result = await brief(request);
      keep(result.messages);
      return result;
    };
  return {
    run: {
      ...run,
      briefPlanner: briefing(run.briefPlanner),
      briefWorker: briefing(run.briefWorker),
      briefConflict: briefing(run.briefConflict),
    },
    sandbox: {
      ...sandbox,
      async act(request: Parameters<S['act']>[0]) {
        const result = await sandbox.act(request);
        keep([{ role: 'tool', results: result.results }]);
        return result;
      },
    },
  };
}
