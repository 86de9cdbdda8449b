/** One call of the model over the whole transcript. */
import { isCancellation, workflowInfo } from '@temporalio/workflow';
import { type Role, type ThinkRequest, type ThinkResult, tailDigest } from '../../shared/contracts/agent.ts';
import { FailureType, failureTypeOf } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import type { ToolName } from '../../shared/agent/tools.ts';
import { thinkActivity } from '../support/activity-policies.ts';
import { type Conversation, count, isCompactable } from './conversation.ts';
import { inFlight } from './limits.ts';

export type Asker = {
  role: Role;
  conversation: Conversation;
  agent: Chain;
  ancestors: Chain[];
  maxOutputTokens: number;
  /** The activity `think` unless given. */
  ask?: (question: ThinkRequest) => Promise<ThinkResult>;
};

const askModel = (question: ThinkRequest): Promise<ThinkResult> =>
  thinkActivity(`think ${question.turn}`).think(question);

/** Counts the turn and what it cost; of a call that is cancelled it is left what it may have cost. */
export async function think(asker: Asker, tools: readonly ToolName[]): Promise<ThinkResult> {
  const { conversation: talk, ask = askModel } = asker;
  const question = questionOf(asker, talk.turn + 1, tools);
  talk.inFlight = inFlight(talk, asker.maxOutputTokens);
  try {
    const answer = await ask(question);
    count(talk, answer);
    return answer;
  } catch (error) {
    if (!isCancellation(error)) delete talk.inFlight;
    // Its number is used: the next question under it would be another one.
    const type = failureTypeOf(error);
    if (type === FailureType.ContextTooLong || type === FailureType.RequestRefused) talk.turn += 1;
    throw error;
  }
}

/** A conversation that the model cannot take is compacted where there is something to compact. */
export async function thinkOrCompact(asker: Asker, tools: readonly ToolName[]): Promise<ThinkResult | 'too-long'> {
  try {
    return await think(asker, tools);
  } catch (error) {
    if (failureTypeOf(error) !== FailureType.ContextTooLong || !isCompactable(asker.conversation)) throw error;
    return 'too-long';
  }
}

/** The request for a call over the transcript as it is now. */
export function questionOf(asker: Asker, turn: number, tools: readonly ToolName[]): ThinkRequest {
  const { conversation: talk } = asker;
  return {
    role: asker.role,
    turn,
    messageCount: talk.messages.length,
    tail: tailDigest(talk.messages),
    conversation: talk.number,
    tools: [...tools],
    agent: asker.agent,
    ancestors: asker.ancestors,
    maxOutputTokens: asker.maxOutputTokens,
  };
}

/** The chain of the workflow that runs this code. */
export function ownChain(): Chain {
  const { workflowId, firstExecutionRunId } = workflowInfo();
  return { workflowId, firstRunId: firstExecutionRunId };
}
