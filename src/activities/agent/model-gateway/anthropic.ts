/** Anthropic's messages, as a server. Source: Anthropic's API reference, messages and streaming. */
import { z } from 'zod';
import type { Message, ToolResult } from '../../../shared/contracts/agent.ts';
import { argumentObject } from '../../llm/providers/conversation.ts';
import { type GatewayAnswer, parametersOf, type Protocol, sse, textOf } from './wire.ts';

const Block = z.looseObject({
  type: z.string(),
  id: z.string().optional(),
  name: z.string().optional(),
  input: z.record(z.string(), z.unknown()).optional(),
  tool_use_id: z.string().optional(),
  content: z.unknown().optional(),
  is_error: z.boolean().nullish(),
});
const Body = z.object({
  model: z.string(),
  system: z.unknown().optional(),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant']), content: z.union([z.string(), z.array(Block)]) })),
  tools: z
    .array(
      z.object({
        name: z.string(),
        description: z.string().default(''),
        input_schema: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .nullish(),
  max_tokens: z.number().int().positive().nullish(),
  stream: z.boolean().nullish(),
});

/** Of the model's own thinking, which the router does not hand on. */
const NOT_TEXT = ['thinking', 'redacted_thinking', 'tool_use', 'tool_result'];

export const anthropic: Protocol = {
  read(raw) {
    const body = Body.parse(raw);
    const system = textOf(body.system);
    return {
      model: body.model,
      messages: [...(system === '' ? [] : [{ role: 'system' as const, text: system }]), ...messagesOf(body.messages)],
      tools: (body.tools ?? []).map(({ name, description, input_schema }) => ({
        name,
        description,
        parameters: parametersOf(input_schema),
      })),
      maxOutputTokens: body.max_tokens ?? undefined,
      stream: body.stream ?? false,
    };
  },

  whole: (answer) => ({
    ...head(answer),
    content: [
      ...(answer.text === '' ? [] : [{ type: 'text', text: answer.text }]),
      ...answer.calls.map(({ id, name, arguments: text }) => ({
        type: 'tool_use',
        id,
        name,
        input: argumentObject(text),
      })),
    ],
    stop_reason: stopReason(answer),
    usage: usageOf(answer),
  }),

  events(answer) {
    const event = (type: string, rest: object): string => sse({ type, ...rest }, type);
    const block = (index: number, content_block: object, delta: object): string[] => [
      event('content_block_start', { index, content_block }),
      event('content_block_delta', { index, delta }),
      event('content_block_stop', { index }),
    ];
    const blocks = [
      ...(answer.text === ''
        ? []
        : [
            [
              { type: 'text', text: '' },
              { type: 'text_delta', text: answer.text },
            ] as const,
          ]),
      ...answer.calls.map(
        ({ id, name, arguments: text }) =>
          [
            { type: 'tool_use', id, name, input: {} },
            { type: 'input_json_delta', partial_json: JSON.stringify(argumentObject(text)) },
          ] as const,
      ),
    ];
    return [
      event('message_start', {
        message: { ...head(answer), content: [], stop_reason: null, usage: { ...usageOf(answer), output_tokens: 0 } },
      }),
      ...blocks.flatMap(([start, delta], index) => block(index, start, delta)),
      event('message_delta', {
        delta: { stop_reason: stopReason(answer), stop_sequence: null },
        usage: { output_tokens: answer.tokens.outputTokens },
      }),
      event('message_stop', {}),
    ];
  },

  keepAlive: sse({ type: 'ping' }, 'ping'),

  error: ({ kind, message }) => ({
    type: 'error',
    error: {
      type: {
        invalid: 'invalid_request_error',
        'too-long': 'invalid_request_error',
        unauthorized: 'authentication_error',
        limit: 'permission_error',
        'not-found': 'not_found_error',
        unavailable: 'api_error',
      }[kind],
      message: kind === 'too-long' ? `prompt is too long: ${message}` : message,
    },
  }),
};

const head = ({ id, model }: GatewayAnswer) => ({
  id: `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model,
  stop_sequence: null,
});

const stopReason = ({ stop, calls }: GatewayAnswer): string =>
  calls.length > 0
    ? 'tool_use'
    : { end: 'end_turn', 'tool-calls': 'tool_use', length: 'max_tokens', refusal: 'refusal' }[stop];

const usageOf = ({ tokens }: GatewayAnswer) => ({
  input_tokens: tokens.inputTokens - tokens.cachedInputTokens,
  cache_read_input_tokens: tokens.cachedInputTokens,
  cache_creation_input_tokens: 0,
  output_tokens: tokens.outputTokens,
});

function messagesOf(given: z.infer<typeof Body>['messages']): Message[] {
  const names = new Map<string, string>();
  const messages: Message[] = [];
  for (const { role, content } of given) {
    const blocks = typeof content === 'string' ? [] : content;
    const text = textOf(content, NOT_TEXT);
    if (role === 'assistant') {
      const toolCalls = blocks
        .filter(({ type }) => type === 'tool_use')
        .map(({ id = '', name = '', input = {} }) => ({ id, name, arguments: JSON.stringify(input) }));
      for (const { id, name } of toolCalls) names.set(id, name);
      messages.push({ role: 'assistant', text, toolCalls });
      continue;
    }
    const results = blocks
      .filter(({ type }) => type === 'tool_result')
      .map(
        ({ tool_use_id = '', content: output, is_error }): ToolResult => ({
          callId: tool_use_id,
          name: names.get(tool_use_id) ?? 'unknown',
          status: is_error === true ? 'error' : 'ok',
          output: textOf(output),
        }),
      );
    if (results.length > 0) messages.push({ role: 'tool', results });
    if (text !== '') messages.push({ role: 'user', text });
  }
  return messages;
}
