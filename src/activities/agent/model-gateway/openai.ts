/** OpenAI's chat completions, as a server. Source: OpenAI's API reference, chat/create and chat/streaming. */
import { z } from 'zod';
import type { Message, ToolResult } from '../../../shared/contracts/agent.ts';
import { type GatewayAnswer, parametersOf, type Protocol, sse, textOf } from './wire.ts';

const Call = z.object({ id: z.string(), function: z.object({ name: z.string(), arguments: z.string().default('') }) });
const Body = z.object({
  model: z.string(),
  messages: z.array(
    z.object({
      role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
      content: z.unknown().optional(),
      tool_calls: z.array(Call).nullish(),
      tool_call_id: z.string().optional(),
    }),
  ),
  tools: z
    .array(
      z.object({
        function: z.object({
          name: z.string(),
          description: z.string().default(''),
          parameters: z.record(z.string(), z.unknown()).optional(),
        }),
      }),
    )
    .nullish(),
  max_tokens: z.number().int().positive().nullish(),
  max_completion_tokens: z.number().int().positive().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
});

export const openai: Protocol = {
  read(raw) {
    const body = Body.parse(raw);
    return {
      model: body.model,
      messages: messagesOf(body.messages),
      tools: (body.tools ?? []).map(({ function: { name, description, parameters } }) => ({
        name,
        description,
        parameters: parametersOf(parameters),
      })),
      maxOutputTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
      stream: body.stream ?? false,
    };
  },

  whole: (answer) => ({
    ...head(answer, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: answer.text === '' && answer.calls.length > 0 ? null : answer.text,
          ...(answer.calls.length === 0 ? {} : { tool_calls: answer.calls.map(callOf) }),
        },
        finish_reason: finish(answer),
      },
    ],
    usage: usageOf(answer),
  }),

  events(answer, asked) {
    const chunk = (delta: object, finish_reason: string | null = null): string =>
      sse({ ...head(answer, 'chat.completion.chunk'), choices: [{ index: 0, delta, finish_reason }] });
    const withUsage = Body.safeParse(asked).data?.stream_options?.include_usage === true;
    return [
      chunk({ role: 'assistant', content: '' }),
      ...(answer.text === '' ? [] : [chunk({ content: answer.text })]),
      ...answer.calls.map((call, index) => chunk({ tool_calls: [{ index, ...callOf(call) }] })),
      chunk({}, finish(answer)),
      ...(withUsage ? [sse({ ...head(answer, 'chat.completion.chunk'), choices: [], usage: usageOf(answer) })] : []),
      sse('[DONE]'),
    ];
  },

  keepAlive: ': waiting for the model\n\n',

  error: ({ kind, message }) => ({
    error: {
      message,
      type: kind === 'unavailable' ? 'server_error' : 'invalid_request_error',
      param: null,
      code: kind === 'too-long' ? 'context_length_exceeded' : kind === 'limit' ? 'insufficient_quota' : null,
    },
  }),
};

const head = ({ id, model }: GatewayAnswer, object: string) => ({
  id: `chatcmpl-${id}`,
  object,
  created: Math.floor(Date.now() / 1_000),
  model,
});

const callOf = ({ id, name, arguments: text }: GatewayAnswer['calls'][number]) => ({
  id,
  type: 'function',
  function: { name, arguments: text },
});

const finish = ({ stop, calls }: GatewayAnswer): string =>
  calls.length > 0
    ? 'tool_calls'
    : { end: 'stop', 'tool-calls': 'tool_calls', length: 'length', refusal: 'content_filter' }[stop];

const usageOf = ({ tokens }: GatewayAnswer) => ({
  prompt_tokens: tokens.inputTokens,
  completion_tokens: tokens.outputTokens,
  total_tokens: tokens.inputTokens + tokens.outputTokens,
  prompt_tokens_details: { cached_tokens: tokens.cachedInputTokens },
});

/** Results that follow one another are one message of ours; all that is said by the system is its first. */
function messagesOf(given: z.infer<typeof Body>['messages']): Message[] {
  const names = new Map<string, string>();
  const system: string[] = [];
  const messages: Message[] = [];
  for (const { role, content, tool_calls, tool_call_id = '' } of given) {
    switch (role) {
      case 'system':
      case 'developer':
        system.push(textOf(content));
        break;
      case 'user':
        messages.push({ role: 'user', text: textOf(content) });
        break;
      case 'assistant': {
        const toolCalls = (tool_calls ?? []).map((call) => ({ id: call.id, ...call.function }));
        for (const { id, name } of toolCalls) names.set(id, name);
        messages.push({ role: 'assistant', text: textOf(content, ['refusal']), toolCalls });
        break;
      }
      case 'tool': {
        const name = names.get(tool_call_id) ?? 'unknown';
        const result: ToolResult = { callId: tool_call_id, name, status: 'ok', output: textOf(content) };
        const last = messages.at(-1);
        if (last?.role === 'tool') last.results.push(result);
        else messages.push({ role: 'tool', results: [result] });
      }
    }
  }
  return [...(system.length === 0 ? [] : [{ role: 'system' as const, text: system.join('\n\n') }]), ...messages];
}
