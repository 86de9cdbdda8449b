/** An agent's conversation and counters: plain JSON, carried through continue-as-new. Pure. */
import type { Message, ThinkResult } from '../../shared/contracts/agent.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import { addMetrics, type AgentMetrics, NO_METRICS } from '../../shared/contracts/task.ts';

export type Conversation = {
  messages: Message[];
  /** The last turn that was begun. */
  turn: number;
  /** Counts compactions. */
  number: number;
  metrics: AgentMetrics;
  startedAt: number;
  /** Input tokens of the newest call. */
  inputTokens: number;
  /** While a call may be on its way: the most that it costs. What is absent of tokens and dollars is not known. */
  inFlight?: Budget;
};

export function newConversation(messages: Message[], now: number): Conversation {
  return { messages, turn: 0, number: 0, metrics: NO_METRICS, startedAt: now, inputTokens: 0 };
}

/** Beyond this a query's answer nears gRPC's limit (DESIGN: 1.5 MB takes 0.1 s, 2.2 MB fails). */
const MAX_TRANSCRIPT_CHARS = 900_000;

/** A turn is counted once it is answered. */
export function count(talk: Conversation, answer: ThinkResult): void {
  delete talk.inFlight;
  talk.turn += 1;
  talk.inputTokens = answer.usage.inputTokens;
  talk.metrics = addMetrics(talk.metrics, {
    turns: 1,
    toolCalls: answer.message.toolCalls.length,
    ...answer.usage,
    costUsd: answer.costUsd,
    durationMs: answer.durationMs,
  });
}

export function needsCompaction(talk: Conversation, compactTokens: number): boolean {
  if (!isCompactable(talk)) return false;
  if (talk.inputTokens > compactTokens) return true;
  return transcriptChars(talk.messages) > MAX_TRANSCRIPT_CHARS;
}

/** Whether the model has said anything since the brief, or since the last summary. */
export const isCompactable = ({ messages }: Conversation): boolean =>
  messages.length > 3 && messages.some(({ role }) => role === 'assistant');

export function transcriptChars(messages: readonly Message[]): number {
  let chars = 0;
  for (const message of messages) {
    if (message.role === 'tool') for (const result of message.results) chars += result.output.length + 100;
    else chars += message.text.length + 50;
    if (message.role === 'assistant') for (const call of message.toolCalls) chars += call.arguments.length + 100;
  }
  return chars;
}
