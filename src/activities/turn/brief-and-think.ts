/**
 * An agent's first messages and its first call in one activity: a round trip between workflow and server less. A
 * brief is not lost to a model that does not answer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { OpeningActivities, RunActivities } from '../../shared/contracts/activities.ts';
import type { Thinker } from '../llm/activities.ts';
import type { Log } from '../log.ts';

/** What reads a remote that hangs is tried anew after as long as a brief by itself. */
const BRIEF_MS = 10 * 60_000;

export type OpeningDeps = { run: Pick<RunActivities, 'briefWorker' | 'briefConflict'>; think: Thinker; log: Log };

export function createOpeningActivities({ run, think, log }: OpeningDeps): OpeningActivities {
  return {
    async briefAndThink({ brief, think: question }) {
      const briefing = brief.role === 'worker' ? run.briefWorker(brief.request) : run.briefConflict(brief.request);
      const { messages } = await within(BRIEF_MS, briefing);
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

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = new AbortController();
  const deadline = sleep(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`No brief within ${ms / 60_000} minutes.`);
  });
  deadline.catch(() => undefined);
  try {
    return await Promise.race([work, deadline]);
  } finally {
    late.abort();
  }
}
