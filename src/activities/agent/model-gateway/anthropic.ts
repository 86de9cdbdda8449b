/** Anthropic's messages, as a server. Source: Anthropic's API reference, messages and streaming. */
import type Anthropic from '@anthropic-ai/sdk';
import { MessageStream } from '@anthropic-ai/sdk/lib/MessageStream';
import { z } from 'zod';
import type { Message, ToolResult } from '../../../shared/contracts/agent.ts';
import { argumentObject } from '../../llm/providers/conversation.ts';
import {
  type Body,
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

const Block = z.looseObject({
  type: Text,
  id: Text,
  name: Text,
  input: Fields,
  tool_use_id: Text,
  tool_name: Text,
  is_error: Flag,
});
type Block = z.infer<typeof Block>;
const blocksOf = (content: unknown): Block[] =>
  List.parse(content).flatMap((block) => Block.safeParse(block).data ?? []);
const Tool = z.looseObject({ type: Text, name: Text, description: Text, input_schema: Fields, defer_loading: Flag });
type Tool = z.infer<typeof Tool>;
const Choice = z.object({ type: Text, name: Text }).catch({ type: '', name: '' });
const Request = z.object({
  model: Text,
  system: z.unknown().optional(),
  messages: z.array(z.object({ role: Text, content: z.unknown().optional() }).catch({ role: '', content: '' })),
  max_tokens: TokenLimit,
  stream: Flag,
});

/** Of the model's own thinking, which the router does not hand on. */
const NOT_TEXT = ['thinking', 'redacted_thinking', 'tool_use', 'tool_result'];
const MIN_THINKING_TOKENS = 1_024;

/** Run by the agent: its own tools, those that only Anthropic's models know, and what looks for tools among these. */
const OF_THE_AGENT = /^(?:custom|(?:bash|text_editor|computer|memory)_\d+|tool_search_tool_.*)?$/;
const toolsOf = (body: Body): Tool[] => List.parse(body['tools']).flatMap((tool) => Tool.safeParse(tool).data ?? []);
const isOfAgent = ({ type }: Pick<Tool, 'type'>): boolean => OF_THE_AGENT.test(type);
const isPlain = ({ type, name }: Tool): boolean => name !== '' && (type === '' || type === 'custom');

export const anthropic: Protocol = {
  name: 'anthropic',

  read(body) {
    const { model, system: given, messages, max_tokens, stream } = Request.parse(body);
    const system = textOf(given);
    return {
      model,
      messages: [...(system === '' ? [] : [{ role: 'system' as const, text: system }]), ...messagesOf(messages)],
      tools: offered(toolsOf(body), messages).map(({ name, description, input_schema }) => ({
        name,
        description,
        parameters: parametersOf(input_schema),
      })),
      maxOutputTokens: max_tokens,
      stream,
    };
  },

  /** Results stand right behind their calls. */
  takesBefore(message) {
    const { role, content } = Fields.parse(message);
    return role !== 'system' && !blocksOf(content).some(({ type }) => type === 'tool_result');
  },

  native(body, maxOutputTokens) {
    // What costs more than the price list says, and what the provider would connect to.
    const { service_tier: _, speed: __, mcp_servers: ___, container: ____, tools, tool_choice, ...rest } = body;
    const kept = List.parse(tools).filter((tool) => isOfAgent(Tool.safeParse(tool).data ?? { type: 'none' }));
    const choice = Choice.parse(tool_choice);
    const chosen = choice.type !== 'tool' || kept.some((tool) => Fields.parse(tool)['name'] === choice.name);
    return {
      ...rest,
      messages: mapMessages(body),
      ...(kept.length === 0 ? {} : { tools: kept, ...(chosen && tool_choice !== undefined ? { tool_choice } : {}) }),
      ...thinkingWithin(rest['thinking'], maxOutputTokens),
      max_tokens: maxOutputTokens,
    };
  },

  unavailable(body, id) {
    const tools = toolsOf(body);
    const choice = Choice.parse(body['tool_choice']);
    const wanted = choice.type === 'tool' ? tools.filter(({ name }) => name === choice.name) : tools;
    const [missing] = wanted;
    if (missing === undefined || wanted.some(isOfAgent)) return undefined;
    return { protocol: 'anthropic', events: unavailableEvents(missing.name, id, Text.parse(body['model'])) };
  },

  async whole(answer) {
    if (answer.native?.protocol === 'anthropic')
      return { ...(await assembled(answer.native.events)), model: answer.model };
    return {
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
    };
  },

  events(answer) {
    if (answer.native?.protocol === 'anthropic') return answer.native.events.map((each) => given(each, answer.model));
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

/** An event of the endpoint's, with the model as the client named it. */
function given(event: unknown, model: string): string {
  const { type, message } = Fields.parse(event);
  const renamed =
    type === 'message_start' ? { ...(event as Body), message: { ...Fields.parse(message), model } } : event;
  return sse(renamed as Body, Text.parse(type));
}

async function assembled(events: readonly unknown[]): Promise<object> {
  const lines = events.map((event) => new TextEncoder().encode(`${JSON.stringify(event)}\n`));
  return await MessageStream.fromReadableStream(ReadableStream.from(lines)).finalMessage();
}

/** A budget of thinking is below the limit of the whole answer, and has a least size. */
function thinkingWithin(thinking: unknown, maxOutputTokens: number): { thinking?: unknown } {
  const budget = Fields.parse(thinking)['budget_tokens'];
  if (typeof budget !== 'number' || budget < maxOutputTokens) return {};
  if (maxOutputTokens <= MIN_THINKING_TOKENS) return { thinking: { type: 'disabled' } };
  return { thinking: { ...Fields.parse(thinking), budget_tokens: maxOutputTokens - 1 } };
}

/**
 * The tools that another provider's model can call. Those that are loaded later are not offered before something
 * names them, unless it would be the provider that looks for them.
 */
function offered(tools: readonly Tool[], messages: readonly { content?: unknown }[]): Tool[] {
  const searched = tools.some(({ type }) => type.startsWith('tool_search_tool_'));
  const named = new Set(
    messages
      .flatMap(({ content }) => blocksOf(content))
      .flatMap((block) => [
        ...blocksOf(block['content']).map(({ tool_name }) => tool_name),
        block.tool_name,
        // Called already: it was there.
        block.name,
      ]),
  );
  return tools.filter((tool) => isPlain(tool) && (!tool.defer_loading || searched || named.has(tool.name)));
}

/** A call of the provider's own tool that came to nothing, as the protocol has it, and words for who reads only these. */
function unavailableEvents(tool: string, id: string, model: string): Anthropic.MessageStreamEvent[] {
  const use = `srvtoolu_${id.replaceAll('-', '')}`;
  const error = { type: `${tool}_tool_result_error`, error_code: 'unavailable' };
  const blocks = [
    { type: 'server_tool_use', id: use, name: tool, input: {} },
    { type: `${tool}_tool_result`, tool_use_id: use, content: error },
    { type: 'text', text: `There is no ${tool} here: nothing was looked up.` },
  ];
  const usage = { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  const message = { id: `msg_${id}`, type: 'message', role: 'assistant', model, content: [], stop_sequence: null };
  const events = [
    { type: 'message_start', message: { ...message, stop_reason: null, usage } },
    ...blocks.flatMap((content_block, index) => [
      { type: 'content_block_start', index, content_block },
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 0 } },
    { type: 'message_stop' },
  ];
  return events as unknown as Anthropic.MessageStreamEvent[];
}

/** Who is neither the model nor known is taken for the user: also the system, whose words within a conversation stay in their place. */
function messagesOf(messages: z.infer<typeof Request>['messages']): Message[] {
  const names = new Map<string, string>();
  const translated: Message[] = [];
  for (const { role, content } of messages) {
    const blocks = blocksOf(content);
    const text = textOf(content, NOT_TEXT);
    if (role === 'assistant') {
      const toolCalls = blocks
        .filter(({ type }) => type === 'tool_use')
        .map(({ id, name, input }) => ({ id, name, arguments: JSON.stringify(input) }));
      for (const { id, name } of toolCalls) names.set(id, name);
      translated.push({ role: 'assistant', text, toolCalls });
      continue;
    }
    const results = blocks
      .filter(({ type }) => type === 'tool_result')
      .map(
        ({ tool_use_id, content: output, is_error }): ToolResult => ({
          callId: tool_use_id,
          name: names.get(tool_use_id) ?? 'unknown',
          status: is_error ? 'error' : 'ok',
          output: textOf(output),
        }),
      );
    if (results.length > 0) translated.push({ role: 'tool', results });
    if (text !== '') translated.push({ role: 'user', text });
  }
  return translated;
}
