/** The messages protocol, through Anthropic's SDK. */
import Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import type { Message } from '../../../shared/contracts/agent.ts';
import type { Endpoint } from '../endpoints.ts';
import { classify, ProviderFailure } from '../failures.ts';
import { argumentObject, pairResults, providerToolName } from './conversation.ts';
import { asGivenOrTranslated, type NativeRequest } from './native.ts';
import { passOrClassify } from './openai.ts';
import {
  AnswerCollector,
  type Completion,
  type CompletionRequest,
  headerSafe,
  type Provider,
  type RawToolCall,
} from './provider.ts';
import { overWire, refusingHtml, type Wire } from './wire.ts';

const count = z.number().int().nonnegative().nullish();
const ReportedUsage = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  output_tokens_details: z.object({ thinking_tokens: count }).nullish().catch(null),
});
type ReportedUsage = z.infer<typeof ReportedUsage>;

const StreamEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('message_start'), message: z.object({ usage: z.unknown().optional() }) }),
  z.object({
    type: z.literal('content_block_start'),
    index: z.number(),
    content_block: z.object({
      type: z.string(),
      text: z.string().nullish(),
      id: z.string().nullish(),
      name: z.string().nullish(),
      input: z.unknown().optional(),
    }),
  }),
  z.object({
    type: z.literal('content_block_delta'),
    index: z.number(),
    delta: z.object({ type: z.string(), text: z.string().nullish(), partial_json: z.string().nullish() }),
  }),
  z.object({
    type: z.literal('message_delta'),
    delta: z.object({ stop_reason: z.string().nullish() }),
    usage: z.unknown().optional(),
  }),
]);

const EPHEMERAL = { type: 'ephemeral' } as const;

export function createAnthropicProvider(endpoint: Endpoint): Provider {
  const client = (fetch?: typeof globalThis.fetch): Anthropic =>
    new Anthropic({
      apiKey: endpoint.key.reveal(),
      baseURL: endpoint.baseUrl ?? 'https://api.anthropic.com',
      // The SDK sends a bearer token; other servers of this protocol look for the older header.
      ...(endpoint.baseUrl === undefined ? {} : { defaultHeaders: { 'X-Api-Key': endpoint.key.reveal() } }),
      maxRetries: 0,
      timeout: 3_600_000,
      logLevel: 'off',
      ...(fetch === undefined ? {} : { fetch }),
    });

  return {
    async complete(request) {
      const name = `${endpoint.name} (${request.model})`;
      const ask = (native: NativeRequest | undefined): Promise<Completion> =>
        overWire({ ...request, name }, async (wire) => {
          const options = {
            signal: wire.signal,
            headers: { ...native?.headers, 'Idempotency-Key': headerSafe(request.idempotencyKey) },
          };
          const stream =
            native === undefined
              ? await client(wire.fetch).messages.create(body(request), options)
              : await asGiven(client(wire.fetch), native, request.model, options);
          return read(stream, name, wire, native !== undefined);
        });
      try {
        return await asGivenOrTranslated(request.native, { endpoint, model: request.model }, ask);
      } catch (error) {
        throw request.signal.aborted ? request.signal.reason : passOrClassify(error, endpoint, request.model);
      }
    },
    async listModels(signal) {
      try {
        const page = await client(refusingHtml(endpoint.name)).models.list({ limit: 1_000 }, { signal });
        return z
          .array(z.object({ id: z.string() }))
          .parse(page.data)
          .map((model) => model.id);
      } catch (error) {
        throw classify(error, endpoint, 'list of models');
      }
    },
    async hasModel(model, signal) {
      try {
        return (
          typeof (await client(refusingHtml(endpoint.name)).models.retrieve(model, undefined, { signal })).id ===
          'string'
        );
      } catch (error) {
        if (error instanceof Anthropic.APIError && (error.status === 404 || error.status === 400)) return false;
        throw classify(error, endpoint, model);
      }
    },
  };
}

/** Not by the SDK's method for messages, which looks into a body and makes headers of some of its fields. */
const asGiven = (
  client: Anthropic,
  native: NativeRequest,
  model: string,
  options: { signal: AbortSignal; headers: Record<string, string> },
): Promise<AsyncIterable<unknown>> =>
  client.post<AsyncIterable<unknown>>('/v1/messages', {
    ...options,
    body: { ...native.body, model, stream: true },
    stream: true,
  });

/**
 * Cache breakpoints at the end of the system prompt (which covers the tools before it), at the end of the
 * conversation, where the next turn's prefix ends, and where the previous turn's was: the provider looks back some
 * 20 blocks from a breakpoint, and one turn of parallel calls has more.
 */
function body(request: CompletionRequest): Anthropic.MessageCreateParamsStreaming {
  const system = request.messages
    .filter((message) => message.role === 'system')
    .flatMap((message) => (message.text === '' ? [] : [{ type: 'text' as const, text: message.text }]));
  return {
    model: request.model,
    max_tokens: request.maxOutputTokens,
    stream: true,
    messages: withBreakpoints(turns(pairResults(request.messages))),
    ...(system.length === 0
      ? {}
      : {
          system: system.map((block, i) => (i === system.length - 1 ? { ...block, cache_control: EPHEMERAL } : block)),
        }),
    ...(request.tools.length === 0
      ? {}
      : {
          tools: request.tools.map(({ name, description, parameters }) => ({
            name,
            description,
            input_schema: parameters,
          })),
        }),
  };
}

type Block = Anthropic.TextBlockParam | Anthropic.ToolUseBlockParam | Anthropic.ToolResultBlockParam;
type Turn = { role: 'user' | 'assistant'; content: Block[] };

/** Turns alternate, hold no empty text, and results come first in theirs: all of that is demanded. */
function turns(messages: readonly Message[]): Turn[] {
  const list: Turn[] = [];
  for (const message of messages) {
    if (message.role === 'system') continue;
    const content = blocks(message);
    const last = list.at(-1);
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    if (content.length === 0) continue;
    if (last?.role === role) last.content.push(...content);
    else list.push({ role, content });
  }
  return list;
}

function blocks(message: Exclude<Message, { role: 'system' }>): Block[] {
  if (message.role === 'tool') {
    return message.results.map((result) => ({
      type: 'tool_result',
      tool_use_id: result.callId,
      ...(result.output === '' ? {} : { content: result.output }),
      ...(result.status === 'ok' ? {} : { is_error: true }),
    }));
  }
  const text: Block[] = message.text.trim() === '' ? [] : [{ type: 'text', text: message.text }];
  if (message.role === 'user') return text;
  const calls = message.toolCalls.map((call) => ({
    type: 'tool_use' as const,
    id: call.id,
    name: providerToolName(call.name),
    input: argumentObject(call.arguments),
  }));
  return [...text, ...calls];
}

/** At the end of the last two turns that are not the model's own. */
function withBreakpoints(list: Turn[]): Turn[] {
  const marked = new Set(list.filter(({ role }) => role === 'user').slice(-2));
  return list.map((turn) => {
    const block = turn.content.at(-1);
    if (!marked.has(turn) || block === undefined) return turn;
    return { role: turn.role, content: [...turn.content.slice(0, -1), { ...block, cache_control: EPHEMERAL }] };
  });
}

async function read(
  stream: AsyncIterable<unknown>,
  name: string,
  wire: Wire,
  keepsEvents: boolean,
): Promise<Completion> {
  const events: unknown[] = [];
  const answer = new AnswerCollector(wire.startedAt);
  const open = new Map<number, { call: RawToolCall; input: unknown }>();
  let stop: string | undefined;
  let usage: ReportedUsage = {};
  for await (const item of stream) {
    wire.progressed();
    if (keepsEvents) events.push(item);
    const parsed = StreamEvent.safeParse(item);
    if (!parsed.success) {
      if (isOtherEvent(item)) continue;
      throw new ProviderFailure('malformed', `${name}: the stream holds what is no event of an answer`);
    }
    const event = parsed.data;
    switch (event.type) {
      case 'message_start':
        usage = merge(usage, event.message.usage);
        break;
      case 'content_block_start': {
        const { type, id, name: tool, input, text } = event.content_block;
        if (type === 'text' && text) answer.addText(text);
        if (type === 'tool_use') open.set(event.index, { call: answer.newCall(id ?? '', tool ?? ''), input });
        break;
      }
      case 'content_block_delta': {
        const { type, text, partial_json } = event.delta;
        const block = open.get(event.index);
        if (type === 'text_delta' && text) answer.addText(text);
        if (type === 'input_json_delta' && partial_json && block) answer.addArguments(block.call, partial_json);
        break;
      }
      case 'message_delta':
        stop = event.delta.stop_reason ?? stop;
        usage = merge(usage, event.usage);
        break;
    }
  }
  if (stop === undefined) throw new ProviderFailure('malformed', `${name}: the stream ended before the answer did`);
  for (const { call, input } of open.values()) {
    // Some servers send the whole input with the start of the block.
    if (call.arguments === '' && input != null) answer.addArguments(call, JSON.stringify(input));
  }
  return {
    text: answer.text,
    toolCalls: answer.calls,
    stop: stopOf(stop, answer),
    tokens: tokensOf(usage),
    firstTokenMs: answer.firstTokenMs,
    ...(keepsEvents ? { native: { protocol: 'anthropic', events } } : {}),
  };
}

/** Events that carry nothing for us: message_stop, content_block_stop, and what later versions add. */
const KNOWN = new Set(StreamEvent.options.map((option) => option.shape.type.value as string));
const isOtherEvent = (item: unknown): boolean =>
  typeof item === 'object' && item !== null && 'type' in item && typeof item.type === 'string' && !KNOWN.has(item.type);

function merge(usage: ReportedUsage, later: unknown): ReportedUsage {
  const parsed = ReportedUsage.safeParse(later);
  if (!parsed.success) return usage;
  return { ...usage, ...Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value != null)) };
}

function stopOf(stop: string, answer: AnswerCollector): Completion['stop'] {
  if (stop === 'max_tokens' || stop === 'model_context_window_exceeded') return 'length';
  if (stop === 'refusal') return 'refusal';
  return answer.calls.length > 0 ? 'tool-calls' : 'end';
}

/** Anthropic counts input without what was read from or written to the cache. */
function tokensOf(usage: ReportedUsage): Completion['tokens'] {
  const cachedInputTokens = usage.cache_read_input_tokens ?? 0;
  const cacheWriteInputTokens = usage.cache_creation_input_tokens ?? 0;
  const inputTokens = (usage.input_tokens ?? 0) + cachedInputTokens + cacheWriteInputTokens;
  if (inputTokens === 0) return null;
  const reasoningTokens = usage.output_tokens_details?.thinking_tokens;
  return {
    inputTokens,
    cachedInputTokens,
    cacheWriteInputTokens,
    outputTokens: usage.output_tokens ?? 0,
    ...(reasoningTokens == null ? {} : { reasoningTokens }),
  };
}
