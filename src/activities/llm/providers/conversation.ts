/**
 * A transcript made fit for providers, which refuse a conversation for ever over what a model once wrote: a call
 * without a result, arguments that are not JSON, a name with a space. Pure and deterministic, so that a
 * conversation only grows at its end and prompt caches hit.
 */
import type { Message, ToolCall, ToolResult } from '../../../shared/contracts/agent.ts';

const NOT_RUN = 'This call was not run.';

/** Every call has exactly one result, in the order of the calls, directly after them. */
export function pairResults(messages: readonly Message[]): Message[] {
  const paired: Message[] = [];
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i] as Message;
    // A result that does not follow its calls has no place in either protocol.
    if (message.role === 'tool') continue;
    paired.push(message);
    if (message.role !== 'assistant' || message.toolCalls.length === 0) continue;
    const next = messages[i + 1];
    const given = next?.role === 'tool' ? next.results : [];
    paired.push({ role: 'tool', results: message.toolCalls.map((call) => resultOf(call, given)) });
  }
  return paired;
}

const resultOf = (call: ToolCall, results: readonly ToolResult[]): ToolResult =>
  results.find((result) => result.callId === call.id) ?? {
    callId: call.id,
    name: call.name,
    status: 'interrupted',
    output: NOT_RUN,
  };

/** Names that providers take: `[A-Za-z0-9_-]{1,64}`. */
export const providerToolName = (name: string): string =>
  name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || 'unknown';

/** A call's arguments as an object; text that is none is shown to the model as what it wrote. */
export function argumentObject(text: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  } catch {
    // Falls through: what is not JSON is kept as text.
  }
  return { invalid_arguments: text };
}

/** The same as text; valid arguments stay as the model wrote them. */
export function argumentText(text: string): string {
  const object = argumentObject(text);
  return 'invalid_arguments' in object || text.trim() === '' ? JSON.stringify(object) : text;
}
