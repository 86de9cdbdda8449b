/** The chat-completions protocol, through OpenAI's SDK, for OpenAI and whatever is compatible with it. */
import OpenAI from 'openai';
import { z } from 'zod';
import type { Message } from '../../../shared/contracts/agent.ts';
import type { Endpoint } from '../endpoints.ts';
import { classify, ProviderFailure } from '../failures.ts';
import { argumentText, pairResults, providerToolName } from './conversation.ts';
import { asGivenOrTranslated, type NativeRequest } from './native.ts';
import {
  AnswerCollector,
  type Completion,
  type CompletionRequest,
  headerSafe,
  type Provider,
  type RawToolCall,
} from './provider.ts';
import { overWire, refusingHtml, type Wire } from './wire.ts';

const Delta = z.object({
  content: z.string().nullish(),
  refusal: z.string().nullish(),
  tool_calls: z
    .array(
      z.object({
        index: z.number().int().min(0).nullish(),
        id: z.string().nullish(),
        function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
      }),
    )
    .nullish(),
});
/** What the schemas have found, as it came. */
type GivenChunk = { choices?: ({ delta?: { tool_calls?: unknown[] } } | undefined)[] };
const Chunk = z.object({
  choices: z.array(z.object({ delta: Delta.nullish(), finish_reason: z.string().nullish() })).nullish(),
  usage: z.unknown().optional(),
});
const count = z.number().int().nonnegative();
const ReportedUsage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count.nullish() }).nullish(),
  completion_tokens_details: z.object({ reasoning_tokens: count.nullish() }).nullish(),
});

/**
 * OpenAI's newer models take only `max_completion_tokens`; most compatible servers know only `max_tokens`.
 * The host decides what is tried first, and an endpoint that refuses one is sent the other from then on.
 */
type Dialect = {
  maxTokens: 'max_tokens' | 'max_completion_tokens';
  streamOptions: boolean;
  /** OpenAI's own role for what others know as the system's; theirs may drop its words without a word. */
  developer: boolean;
};

export function createOpenAiProvider(endpoint: Endpoint): Provider {
  const official =
    endpoint.baseUrl === undefined || /\.openai\.(com|azure\.com)$/.test(new URL(endpoint.baseUrl).hostname);
  const dialect: Dialect = {
    maxTokens: official ? 'max_completion_tokens' : 'max_tokens',
    streamOptions: true,
    developer: official,
  };
  const client = (fetch?: typeof globalThis.fetch): OpenAI =>
    new OpenAI({
      apiKey: endpoint.key.reveal(),
      baseURL: endpoint.baseUrl ?? 'https://api.openai.com/v1',
      // The environment's organisation is for OpenAI itself.
      ...(official ? {} : { organization: null, project: null }),
      maxRetries: 0,
      timeout: 3_600_000,
      logLevel: 'off',
      ...(fetch === undefined ? {} : { fetch }),
    });

  async function complete(request: CompletionRequest, native: NativeRequest | undefined): Promise<Completion> {
    const name = `${endpoint.name} (${request.model})`;
    for (;;) {
      const sent = { ...dialect };
      try {
        return await overWire({ ...request, name }, async (wire) => {
          const stream = await client(wire.fetch).chat.completions.create(body(request, sent, native), {
            signal: wire.signal,
            headers: { 'Idempotency-Key': headerSafe(request.idempotencyKey) },
          });
          return read(stream, name, wire, native !== undefined);
        });
      } catch (error) {
        if (!(error instanceof OpenAI.BadRequestError) || !adapt(dialect, sent, error.message)) throw error;
      }
    }
  }

  return {
    async complete(request) {
      try {
        return await asGivenOrTranslated(request.native, { endpoint, model: request.model }, (native) =>
          complete(request, native),
        );
      } catch (error) {
        throw request.signal.aborted ? request.signal.reason : passOrClassify(error, endpoint, request.model);
      }
    },
    async listModels(signal) {
      try {
        const page = await client(refusingHtml(endpoint.name)).models.list({ signal });
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
        return typeof (await client(refusingHtml(endpoint.name)).models.retrieve(model, { signal })).id === 'string';
      } catch (error) {
        if (error instanceof OpenAI.APIError && (error.status === 404 || error.status === 400)) return false;
        throw classify(error, endpoint, model);
      }
    },
  };
}

/** A terminal failure of our own passes as it is. */
export const passOrClassify = (error: unknown, endpoint: Endpoint, model: string): unknown =>
  error instanceof Error && error.name === 'ApplicationFailure' ? error : classify(error, endpoint, model);

/** Learns from a refusal what this server does not know. False when there is nothing to change. */
function adapt(dialect: Dialect, sent: Dialect, words: string): boolean {
  if (sent.streamOptions && /stream_options/.test(words)) dialect.streamOptions = false;
  else if (sent.maxTokens === 'max_tokens' && /max_tokens|max_completion_tokens/.test(words)) {
    if (!/unsupported|not supported|unrecognized|unknown|instead/i.test(words)) return false;
    dialect.maxTokens = 'max_completion_tokens';
  } else if (sent.maxTokens === 'max_completion_tokens' && /max_completion_tokens/.test(words)) {
    if (!/unsupported|not supported|unrecognized|unknown|extra|not permitted/i.test(words)) return false;
    dialect.maxTokens = 'max_tokens';
  } else return false;
  return true;
}

function body(
  request: CompletionRequest,
  dialect: Dialect,
  native: NativeRequest | undefined,
): OpenAI.ChatCompletionCreateParamsStreaming {
  if (native !== undefined) return nativeBody(native, request.model, dialect);
  return {
    model: request.model,
    messages: pairResults(request.messages).flatMap(toOpenAi),
    stream: true,
    ...(dialect.streamOptions ? { stream_options: { include_usage: true } } : {}),
    [dialect.maxTokens]: request.maxOutputTokens,
    ...(request.tools.length === 0
      ? {}
      : { tools: request.tools.map((tool) => ({ type: 'function' as const, function: tool })) }),
  };
}

function nativeBody(
  { body: given, maxOutputTokens }: NativeRequest,
  model: string,
  dialect: Dialect,
): OpenAI.ChatCompletionCreateParamsStreaming {
  const { max_tokens: _, max_completion_tokens: __, stream_options: options, ...rest } = given;
  const more = typeof options === 'object' && options !== null ? options : {};
  return {
    ...rest,
    ...(dialect.developer || !Array.isArray(given.messages) ? {} : { messages: given.messages.map(fromSystem) }),
    model,
    stream: true,
    ...(dialect.streamOptions ? { stream_options: { ...more, include_usage: true } } : {}),
    [dialect.maxTokens]: maxOutputTokens,
  } as unknown as OpenAI.ChatCompletionCreateParamsStreaming;
}

const fromSystem = (message: unknown): unknown =>
  (message as { role?: unknown } | null)?.role === 'developer' ? { ...(message as object), role: 'system' } : message;

function toOpenAi(message: Message): OpenAI.ChatCompletionMessageParam[] {
  switch (message.role) {
    case 'system':
    case 'user':
      return [{ role: message.role, content: message.text }];
    case 'assistant': {
      if (message.toolCalls.length === 0) return [{ role: 'assistant', content: message.text }];
      const tool_calls = message.toolCalls.map((call) => ({
        id: call.id,
        type: 'function' as const,
        function: { name: providerToolName(call.name), arguments: argumentText(call.arguments) },
      }));
      return [{ role: 'assistant', content: message.text === '' ? null : message.text, tool_calls }];
    }
    case 'tool':
      return message.results.map((result) => ({
        role: 'tool',
        tool_call_id: result.callId,
        // This protocol has no field for it, and the other one only knows errors.
        content: result.status === 'ok' ? result.output : `[${result.status}]\n${result.output}`,
      }));
  }
}

/** What a delta says beside what the schema above knows; pieces of texts and lists are put together. */
function addMore(to: Record<string, unknown>, delta: unknown, known: readonly string[]): void {
  if (typeof delta !== 'object' || delta === null) return;
  for (const [key, value] of Object.entries(delta)) {
    if (known.includes(key) || value === null) continue;
    const before = to[key];
    if (typeof before === 'string' && typeof value === 'string') to[key] = before + value;
    else if (Array.isArray(before) && Array.isArray(value))
      to[key] = [...(before as unknown[]), ...(value as unknown[])];
    else to[key] = value;
  }
}
const DELTA_FIELDS = ['role', 'content', 'refusal', 'tool_calls', 'function_call'];
const CALL_FIELDS = ['index', 'id', 'type', 'function'];

async function read(stream: AsyncIterable<unknown>, name: string, wire: Wire, keepsMore: boolean): Promise<Completion> {
  const message: Record<string, unknown> = {};
  const answer = new AnswerCollector(wire.startedAt);
  const byIndex = new Map<number, RawToolCall>();
  let finish: string | undefined;
  let refused = false;
  let usage: unknown;
  for await (const item of stream) {
    wire.progressed();
    const chunk = Chunk.safeParse(item);
    if (!chunk.success)
      throw new ProviderFailure('malformed', `${name}: the stream holds what is no chunk of an answer`);
    usage = chunk.data.usage ?? usage;
    const choice = chunk.data.choices?.[0];
    finish = choice?.finish_reason ?? finish;
    const delta = choice?.delta;
    const given = keepsMore ? (item as GivenChunk).choices?.[0]?.delta : undefined;
    addMore(message, given, DELTA_FIELDS);
    if (delta?.content) answer.addText(delta.content);
    if (delta?.refusal) {
      refused = true;
      answer.addText(delta.refusal);
    }
    for (const [position, piece] of (delta?.tool_calls ?? []).entries()) {
      const opens = Boolean(piece.id) || Boolean(piece.function?.name);
      const index = piece.index ?? (opens ? byIndex.size : Math.max(byIndex.size - 1, position));
      let call = byIndex.get(index);
      // Some servers give every whole call the index 0: a new id is a new call.
      if (call === undefined || (piece.id && call.id !== '' && piece.id !== call.id)) {
        call = answer.newCall(piece.id ?? '', piece.function?.name ?? '');
        byIndex.set(index, call);
      }
      if (call.id === '' && piece.id) call.id = piece.id;
      if (call.name === '' && piece.function?.name) call.name = piece.function.name;
      if (piece.function?.arguments) answer.addArguments(call, piece.function.arguments);
      const more = { ...call.more };
      addMore(more, given?.tool_calls?.[position], CALL_FIELDS);
      if (Object.keys(more).length > 0) call.more = more;
    }
  }
  if (finish === undefined) throw new ProviderFailure('malformed', `${name}: the stream ended before the answer did`);
  if (finish === 'error') throw new ProviderFailure('unavailable', `${name}: the answer ended in an error`);
  return {
    text: answer.text,
    toolCalls: answer.calls,
    stop: stopOf(finish, refused, answer),
    tokens: tokensOf(usage),
    firstTokenMs: answer.firstTokenMs,
    ...(keepsMore ? { native: { protocol: 'openai', message } } : {}),
  };
}

function stopOf(finish: string, refused: boolean, answer: AnswerCollector): Completion['stop'] {
  if (finish === 'length') return 'length';
  if (refused || finish === 'content_filter') return 'refusal';
  // Not every server says tool_calls when it made some.
  return answer.calls.length > 0 ? 'tool-calls' : 'end';
}

function tokensOf(usage: unknown): Completion['tokens'] {
  const reported = ReportedUsage.safeParse(usage);
  if (!reported.success || reported.data.prompt_tokens === 0) return null;
  const { prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details } = reported.data;
  const reasoningTokens = completion_tokens_details?.reasoning_tokens;
  return {
    inputTokens: prompt_tokens,
    cachedInputTokens: Math.min(prompt_tokens_details?.cached_tokens ?? 0, prompt_tokens),
    cacheWriteInputTokens: 0,
    outputTokens: completion_tokens,
    ...(reasoningTokens == null ? {} : { reasoningTokens }),
  };
}
