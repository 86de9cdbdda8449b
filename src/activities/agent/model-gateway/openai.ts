/** OpenAI's chat completions, as a server. Source: OpenAI's API reference, chat/create and chat/streaming. */
import { z } from 'zod';
import type { Message, ToolResult } from '../../../shared/contracts/agent.ts';
import {
  Fields,
  Flag,
  type GatewayAnswer,
  List,
  mapMessages,
  parametersOf,
  type Protocol,
  sse,
  Text,
  textOf,
  TokenLimit,
} from './wire.ts';

const Named = z.object({ name: Text, arguments: Text, input: Text });
/** A `custom` tool is called with plain text. */
const Call = z.object({
  id: Text,
  function: Named.optional().catch(undefined),
  custom: Named.optional().catch(undefined),
});
const Request = z.object({
  model: Text,
  messages: z.array(
    z
      .object({ role: Text, content: z.unknown().optional(), tool_calls: List, tool_call_id: Text })
      .catch({ role: '', content: '', tool_calls: [], tool_call_id: '' }),
  ),
  max_tokens: TokenLimit,
  max_completion_tokens: TokenLimit,
  stream: Flag,
  stream_options: z.object({ include_usage: Flag }).catch({ include_usage: false }),
});
const Function = z.object({ name: z.string().min(1), description: Text, parameters: Fields });
const Tool = z.object({ type: z.enum(['function', 'custom']).optional() });
const isOfAgent = (tool: unknown): boolean => Tool.safeParse(tool).success;

export const openai: Protocol = {
  name: 'openai',

  read(body) {
    const { model, messages, max_tokens, max_completion_tokens, stream } = Request.parse(body);
    return {
      model,
      messages: messagesOf(messages),
      // What is no function is a grammar, or the provider's own: another model cannot call it.
      tools: List.parse(body['tools']).flatMap((tool) => {
        const { data } = Function.safeParse(Fields.parse(tool)['function']);
        if (data === undefined || !isOfAgent(tool)) return [];
        return [{ name: data.name, description: data.description, parameters: parametersOf(data.parameters) }];
      }),
      maxOutputTokens: max_completion_tokens ?? max_tokens,
      stream,
    };
  },

  /** Results stand right behind their calls. */
  takesBefore: (message) => !['tool', 'system', 'developer'].includes(Text.parse(Fields.parse(message)['role'])),

  native(body) {
    // What costs more than the price list says, and what the provider would look up.
    const { service_tier: _, n: __, web_search_options: ___, tools, tool_choice, ...rest } = body;
    const kept = List.parse(tools).filter(isOfAgent);
    const chosen = typeof tool_choice === 'string' || isOfAgent(tool_choice);
    return {
      ...rest,
      messages: mapMessages(body),
      ...(kept.length === 0 ? {} : { tools: kept, ...(chosen ? { tool_choice } : {}) }),
    };
  },

  whole: (answer) => ({
    ...head(answer, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          ...moreOf(answer),
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
    const withUsage = Request.safeParse(asked).data?.stream_options.include_usage === true;
    return [
      chunk({ role: 'assistant', content: '', ...moreOf(answer) }),
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

/** Such as a model's reasoning, where the endpoint has it. */
const moreOf = ({ native }: GatewayAnswer): object => (native?.protocol === 'openai' ? native.message : {});

const callOf = ({ id, name, arguments: text, more }: GatewayAnswer['calls'][number]) => ({
  ...more,
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
function messagesOf(given: z.infer<typeof Request>['messages']): Message[] {
  const names = new Map<string, string>();
  const system: string[] = [];
  const messages: Message[] = [];
  for (const { role, content, tool_calls, tool_call_id } of given) {
    switch (role) {
      case 'system':
      case 'developer':
        system.push(textOf(content));
        break;
      case 'assistant': {
        const toolCalls = tool_calls.flatMap(callIn);
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
        break;
      }
      default:
        messages.push({ role: 'user', text: textOf(content) });
    }
  }
  return [...(system.length === 0 ? [] : [{ role: 'system' as const, text: system.join('\n\n') }]), ...messages];
}

function callIn(given: unknown): { id: string; name: string; arguments: string }[] {
  const { data } = Call.safeParse(given);
  if (data?.function !== undefined) return [{ id: data.id, ...pick(data.function) }];
  if (data?.custom === undefined) return [];
  return [{ id: data.id, name: data.custom.name, arguments: JSON.stringify({ input: data.custom.input }) }];
}

const pick = ({ name, arguments: text }: z.infer<typeof Named>) => ({ name, arguments: text });
