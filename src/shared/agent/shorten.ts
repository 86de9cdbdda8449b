/** A transcript cut so that a model which could not take it whole can still sum it up. Pure. */
import type { Message } from '../contracts/agent.ts';

const LEFT_OUT = '\n[… left out: the conversation was too long …]\n';
/** Characters that stay of each text, and messages that stay behind the brief, before they are halved. */
const TEXT_CHARS = 4_000;
const MESSAGES = 80;

/**
 * @param opening messages at the start that stay whole: system prompt and brief.
 * @param harder 1 or more; each step halves what is left of texts and of old messages.
 */
export function shortened(messages: readonly Message[], opening: number, harder: number): Message[] {
  const factor = 2 ** (harder - 1);
  const chars = Math.max(100, Math.floor(TEXT_CHARS / factor));
  const newest = Math.max(4, Math.floor(MESSAGES / factor));
  const rest = messages.slice(opening).slice(-newest);
  // Results without their calls have no place in a conversation.
  while (rest[0]?.role === 'tool') rest.shift();
  return [...messages.slice(0, opening), ...rest.map((message) => cut(message, chars))];
}

function cut(message: Message, chars: number): Message {
  switch (message.role) {
    case 'tool':
      return {
        ...message,
        results: message.results.map((each) => ({ ...each, output: headAndTail(each.output, chars) })),
      };
    case 'assistant':
      return {
        ...message,
        text: headAndTail(message.text, chars),
        toolCalls: message.toolCalls.map((call) => ({
          ...call,
          arguments:
            call.arguments.length <= chars
              ? call.arguments
              : JSON.stringify({ cut: headAndTail(call.arguments, chars) }),
        })),
      };
    default:
      return { ...message, text: headAndTail(message.text, chars) };
  }
}

function headAndTail(text: string, chars: number): string {
  if (text.length <= chars) return text;
  const half = Math.floor(chars / 2);
  return `${text.slice(0, half)}${LEFT_OUT}${text.slice(-half)}`.toWellFormed();
}
