/**
 * An agent's first messages and its first call in one activity: a round trip between workflow and server less. A
 * brief is not lost to a model that does not answer.
 */
import { Context } from '@temporalio/activity';
import type { OpeningActivities, RunActivities } from '../../shared/contracts/activities.ts';
import type { Thinker } from '../llm/activities.ts';
import type { Log } from '../log.ts';

export type OpeningDeps = { run: Pick<RunActivities, 'briefWorker' | 'briefConflict'>; think: Thinker; log: Log };

export function createOpeningActivities({ run, think, log }: OpeningDeps): OpeningActivities {
  return {
    async briefAndThink({ brief, think: question }) {
      const { messages } =
        brief.role === 'worker' ? await run.briefWorker(brief.request) : await run.briefConflict(brief.request);
      try {
        return { messages, answer: await think(question, messages) };
      } catch (error) {
        if (Context.current().cancellationDetails?.cancelRequested === true) throw error;
        // `think` by itself says what is wrong, with deadlines and retries of its own.
        log.warn({ turn: question.turn, error: String(error) }, 'a brief is made; the call over it was not answered');
        return { messages };
      }
    },
  };
}
