/** What the two protocols share on the wire. */
import type { ScriptAnswer } from './conversation.ts';
import type { ModelUsage } from './usage.ts';

/** One answer, ready to be written in either protocol. */
export type Exchange = {
  /** A hash of the request: the same request gets the same ids. */
  id: string;
  /** Seconds since the epoch; fixed, for the same reason. */
  created: number;
  model: string;
  answer: ScriptAnswer;
  callIds: string[];
  usage: ModelUsage;
};

type Part = { type: string; text?: string | undefined };

export const textOf = (content: string | readonly Part[]): string =>
  typeof content === 'string' ? content : content.map((part) => part.text ?? '').join('');

/** Arguments as an object; what is no JSON object counts as no arguments. */
export function parseArguments(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {};
  } catch {
    return {};
  }
}

/** Cuts a text into the pieces of a stream, never inside a surrogate pair. */
export function* pieces(text: string, size = 700): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(from + size, text.length);
    const code = text.charCodeAt(to - 1);
    if (to < text.length && code >= 0xd800 && code <= 0xdbff) to++;
    yield text.slice(from, to);
    from = to;
  }
}
