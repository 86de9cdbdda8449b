/** Usage figures: counted from text lengths, so that they are stable from run to run. */
import type { Conversation, ScriptAnswer, Turn } from './conversation.ts';

export type ModelUsage = { inputTokens: number; cachedInputTokens: number; outputTokens: number };

/** About four characters of English or code make a token. */
const tokens = (characters: number): number => Math.ceil(characters / 4);

/**
 * Cached is what the request before this one had already sent: everything before the last answer, as with a
 * provider's prefix cache that never forgets.
 */
export function countUsage(conversation: Conversation, answer: ScriptAnswer): ModelUsage {
  const before = conversation.turns.map((turn) => turn.role).lastIndexOf('assistant');
  const fixed = conversation.system.length + conversation.tools.join('').length;
  const lengths = conversation.turns.map(lengthOf);
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    inputTokens: tokens(fixed + sum(lengths)),
    cachedInputTokens: before < 0 ? 0 : tokens(fixed + sum(lengths.slice(0, before))),
    outputTokens: Math.max(1, tokens(answer.text.length + JSON.stringify(answer.calls).length)),
  };
}

function lengthOf(turn: Turn): number {
  if (turn.role === 'user') return turn.text.length;
  if (turn.role === 'assistant') return turn.text.length + JSON.stringify(turn.calls).length;
  return turn.results.reduce((sum, result) => sum + result.output.length, 0);
}
