/** From a provider's completion to what goes into history. */
import { createHash } from 'node:crypto';
import type { Message, ThinkRequest, ThinkResult, ToolCall } from '../../shared/contracts/agent.ts';
import type { ModelAnswer } from './models.ts';
import { answerTooLarge, MAX_ANSWER_BYTES, type RawToolCall } from './providers/provider.ts';

/** Requests of one turn carry the same key, whoever sends them and how often. */
export const idempotencyKey = ({ agent, turn }: ThinkRequest): string =>
  `${agent.workflowId}/${agent.firstRunId}/${turn}`;

/**
 * Names a question. Two requests share it only when they ask the same thing on behalf of the same turn: an answer
 * is never given to other messages, also not after a reset, where ids repeat.
 */
export function questionKey(request: ThinkRequest, messages: readonly Message[]): string {
  const { role, tools, conversation, messageCount, maxOutputTokens } = request;
  const asked = JSON.stringify([role, tools, conversation, messageCount, maxOutputTokens, messages]);
  return `${idempotencyKey(request)} ${createHash('sha256').update(asked).digest('hex')}`;
}

/** Throws AnswerTooLarge for what could never be recorded. */
export function toResult(answered: ModelAnswer, request: ThinkRequest, messages: readonly Message[]): ThinkResult {
  const { completion, endpoint, model, attempts, durationMs, waitedMs, tokens, costUsd } = answered;
  const toolCalls = withIds(completion.toolCalls, request.turn, messages);
  const result: ThinkResult = {
    message: { role: 'assistant', text: completion.text, toolCalls },
    usage: {
      inputTokens: tokens.inputTokens,
      cachedInputTokens: tokens.cachedInputTokens,
      outputTokens: tokens.outputTokens,
      ...(tokens.reasoningTokens === undefined ? {} : { reasoningTokens: tokens.reasoningTokens }),
    },
    costUsd,
    endpoint: endpoint.name,
    model,
    stop: completion.stop,
    attempts,
    durationMs,
    firstTokenMs: Math.round(completion.firstTokenMs),
    waitedMs,
  };
  const size = Buffer.byteLength(JSON.stringify(result));
  if (size > MAX_ANSWER_BYTES) throw answerTooLarge(size);
  return result;
}

/** What both protocols take as an id, and no call of the conversation has yet. */
function withIds(calls: readonly RawToolCall[], turn: number, messages: readonly Message[]): ToolCall[] {
  const taken = new Set(messages.flatMap((m) => (m.role === 'assistant' ? m.toolCalls.map((call) => call.id) : [])));
  return calls.map((call, i) => {
    const usable = /^[A-Za-z0-9_-]{1,40}$/.test(call.id) && !taken.has(call.id);
    const id = usable ? call.id : `call_${turn}_${i}`;
    taken.add(id);
    return { id, name: call.name, arguments: call.arguments };
  });
}
