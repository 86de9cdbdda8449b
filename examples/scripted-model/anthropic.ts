/** Anthropic's messages protocol: what comes in, and the answer whole or as server-sent events. */
import { z } from 'zod';
import { type CallOutcome, type Conversation, outcomeStatus, type ScriptAnswer, type Turn } from './conversation.ts';
import type { ModelUsage } from './usage.ts';
import { type Exchange, pieces, textOf } from './wire.ts';

const Text = z.union([z.string(), z.array(z.looseObject({ type: z.string(), text: z.string().optional() }))]);

const Block = z.union([
  z.discriminatedUnion('type', [
    z.object({ type: z.literal('text'), text: z.string() }),
    z.object({
      type: z.literal('tool_use'),
      id: z.string(),
      name: z.string(),
      input: z.record(z.string(), z.unknown()),
    }),
    z.object({
      type: z.literal('tool_result'),
      tool_use_id: z.string(),
      content: Text.optional(),
      is_error: z.boolean().optional(),
    }),
  ]),
  // Images, thinking and the like: no script looks at them.
  z.object({ type: z.enum(['image', 'document', 'thinking', 'redacted_thinking']) }),
]);

const Request = z.object({
  model: z.string(),
  max_tokens: z.number().int().positive(),
  stream: z.boolean().optional(),
  system: Text.optional(),
  tools: z.array(z.object({ name: z.string() })).optional(),
  messages: z
    .array(z.object({ role: z.enum(['user', 'assistant', 'system']), content: z.union([z.string(), z.array(Block)]) }))
    .min(1),
});

/** Throws a ZodError for a body that the protocol does not allow. */
export function readAnthropic(body: unknown): { conversation: Conversation; stream: boolean } {
  const request = Request.parse(body);
  const turns: Turn[] = [];
  for (const message of request.messages) {
    const blocks =
      typeof message.content === 'string' ? [{ type: 'text' as const, text: message.content }] : message.content;
    const text = blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('');
    if (message.role === 'assistant') {
      const calls = blocks.flatMap((block) =>
        block.type === 'tool_use' ? [{ id: block.id, name: block.name, arguments: block.input }] : [],
      );
      turns.push({ role: 'assistant', text, calls });
      continue;
    }
    const results: CallOutcome[] = blocks.flatMap((block) => {
      if (block.type !== 'tool_result') return [];
      const output = textOf(block.content ?? '');
      return [{ callId: block.tool_use_id, status: outcomeStatus(output, block.is_error), output }];
    });
    if (results.length > 0) turns.push({ role: 'tool', results });
    if (text !== '' || results.length === 0) turns.push({ role: 'user', text });
  }
  return {
    conversation: {
      protocol: 'anthropic',
      model: request.model,
      system: textOf(request.system ?? ''),
      turns,
      tools: (request.tools ?? []).map((tool) => tool.name),
    },
    stream: request.stream === true,
  };
}

const stopReason = (answer: ScriptAnswer): string => (answer.calls.length > 0 ? 'tool_use' : 'end_turn');

/** `input_tokens` leaves out what was read from the cache. */
const usageOf = (usage: ModelUsage) => ({
  input_tokens: usage.inputTokens - usage.cachedInputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: usage.cachedInputTokens,
  output_tokens: usage.outputTokens,
});

export function anthropicAnswer({ id, model, answer, callIds, usage }: Exchange): object {
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [
      ...(answer.text === '' ? [] : [{ type: 'text', text: answer.text }]),
      ...answer.calls.map((call, i) => ({ type: 'tool_use', id: callIds[i], name: call.name, input: call.arguments })),
    ],
    stop_reason: stopReason(answer),
    stop_sequence: null,
    usage: usageOf(usage),
  };
}

/** The events of a stream, ready to be written. */
export function* anthropicStream({ id, model, answer, callIds, usage }: Exchange): Generator<string> {
  const event = (type: string, data: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
  yield event('message_start', {
    message: {
      id: `msg_${id}`,
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...usageOf(usage), output_tokens: 1 },
    },
  });
  let index = 0;
  if (answer.text !== '') {
    yield event('content_block_start', { index, content_block: { type: 'text', text: '' } });
    for (const text of pieces(answer.text))
      yield event('content_block_delta', { index, delta: { type: 'text_delta', text } });
    yield event('content_block_stop', { index });
    index++;
  }
  for (const [i, call] of answer.calls.entries()) {
    yield event('content_block_start', {
      index,
      content_block: { type: 'tool_use', id: callIds[i], name: call.name, input: {} },
    });
    for (const piece of pieces(JSON.stringify(call.arguments))) {
      yield event('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json: piece } });
    }
    yield event('content_block_stop', { index });
    index++;
  }
  yield event('message_delta', {
    delta: { stop_reason: stopReason(answer), stop_sequence: null },
    usage: { output_tokens: usage.outputTokens },
  });
  yield event('message_stop', {});
}
