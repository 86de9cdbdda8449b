/**
 * An agent's first messages and its first call in one activity: a round trip between workflow and server less. A
 * brief is not lost to a model that does not answer, and a further attempt on the same host asks the same: what a brief
 * says of the branch changes with each landing, and another question is another call, paid again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { BriefRequest, OpeningActivities, RunActivities } from '../../shared/contracts/activities.ts';
import { Message } from '../../shared/contracts/agent.ts';
import type { Thinker } from '../llm/think.ts';
import { createJournal } from '../llm/journal.ts';
import type { Log } from '../support/log.ts';

/** What reads a remote that hangs is tried anew after as long as a brief by itself. */
const BRIEF_MS = 10 * 60_000;

export type OpeningDeps = {
  run: Pick<RunActivities, 'briefWorker' | 'briefConflict'>;
  think: Thinker;
  /** A folder of this host for briefs alone; made when needed. */
  journalDir: string;
  log: Log;
};

export function createOpeningActivities({ run, think, journalDir, log }: OpeningDeps): OpeningActivities {
  const briefs = createJournal(journalDir, z.array(Message), log);

  /** The first that was made for this activity here stands, whichever of its attempts made it. */
  async function messagesFor(brief: BriefRequest): Promise<Message[]> {
    const { info, cancellationSignal } = Context.current();
    const { workflowExecution: agent, activityId, attempt } = info;
    // Not of an activity before a reset, which has other runs.
    const [asker, key] = [agent?.workflowId ?? '', `${agent?.runId}/${activityId}`];
    const before = attempt > 1 ? await briefs.read(asker, key) : null;
    if (before !== null) return before;
    const briefing = brief.role === 'worker' ? run.briefWorker(brief.request) : run.briefConflict(brief.request);
    const { messages } = await within(BRIEF_MS, briefing);
    // An attempt that the server has given up asks nothing any more.
    if (!cancellationSignal.aborted) await briefs.write(asker, key, messages);
    return messages;
  }

  return {
    async briefAndThink({ brief, think: question }) {
      const messages = await messagesFor(brief);
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
