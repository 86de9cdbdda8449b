/** How an agent's conversation begins: its brief, and where nothing stands against it the first call with it. */
import { isCancellation, log } from '@temporalio/workflow';
import type { Message, ThinkResult } from '../../shared/contracts/agent.ts';
import type { AgentInput } from '../../shared/contracts/agent-run.ts';
import type { BriefRequest } from '../../shared/contracts/activities.ts';
import { failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { ROLE_TOOLS } from '../../shared/agent/tools.ts';
import { openingActivities, runActivities } from '../support/activity-policies.ts';
import { type Asker, questionOf } from './think.ts';
import { inFlight, roomOf } from './limits.ts';
import type { Inbox } from './loop.ts';

/** The most that a brief takes. */
const BRIEF_TOKENS = 100_000;

/** Puts the first messages into the conversation. @returns the model's answer to them, where it came along. */
export async function opened(input: AgentInput, asker: Asker, inbox: Inbox): Promise<ThinkResult | undefined> {
  const { conversation: talk, maxOutputTokens } = asker;
  const brief = briefOf(input);
  const free = roomOf(talk, input.budget, maxOutputTokens, BRIEF_TOKENS) === 'free';
  // Where something must be said or decided before the first call, the brief comes by itself.
  if (!free || inbox.waiting || input.run.settings.agent.engine === 'command') {
    talk.messages.push(...(await briefed(brief)));
    return undefined;
  }
  const think = questionOf(asker, talk.turn + 1, ROLE_TOOLS[asker.role].tools);
  talk.inFlight = inFlight(talk, maxOutputTokens, BRIEF_TOKENS);
  try {
    const { messages, answer } = await openingActivities.briefAndThink({ brief, think });
    delete talk.inFlight;
    talk.messages.push(...messages);
    return answer;
  } catch (error) {
    if (isCancellation(error)) throw error;
    delete talk.inFlight;
    if (failureTypeOf(error) !== undefined) throw error;
    // Workers that die count as its tries, which are few: `think` by itself has as many as it takes.
    log.warn('a brief with its first call came to nothing; each by itself', { reason: rootMessage(error) });
    talk.messages.push(...(await briefed(brief)));
    return undefined;
  }
}

async function briefed(brief: BriefRequest): Promise<Message[]> {
  const { messages } =
    brief.role === 'worker'
      ? await runActivities.briefWorker(brief.request)
      : await runActivities.briefConflict(brief.request);
  return messages;
}

function briefOf({ run, task, brief }: AgentInput): BriefRequest {
  if (brief.role === 'worker') {
    const { attempt, previous, guidance } = brief;
    return { role: 'worker', request: { run, task, attempt, previous, guidance } };
  }
  const { handoff, base, tip, files, conflicts } = brief;
  return { role: 'conflict', request: { run, task, handoff, base, tip, files, conflicts } };
}
