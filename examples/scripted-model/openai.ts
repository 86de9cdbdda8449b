/** OpenAI's chat-completions protocol: what comes in, and the answer whole or as server-sent events. */
import { z } from 'zod';
import { type Conversation, outcomeStatus, type ScriptAnswer, type Turn } from './conversation.ts';
import type { ModelUsage } from './usage.ts';
import { type Exchange, parseArguments, pieces, textOf } from './wire.ts';

const Content = z.union([z.string(), z.array(z.object({ type: z.string(), text: z.string().optional() }))]);

const Request = z.object({
  model: z.string(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().optional() }).nullish(),
  tools: z.array(z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) })).nullish(),
  messages: z
    .array(
      z.discriminatedUnion('role', [
        z.object({ role: z.literal('system'), content: Content }),
        z.object({ role: z.literal('developer'), content: Content }),
        z.object({ role: z.literal('user'), content: Content }),
        z.object({
          role: z.literal('assistant'),
          content: Content.nullish(),
          tool_calls: z
            .array(z.object({ id: z.string(), function: z.object({ name: z.string(), arguments: z.string() }) }))
            .nullish(),
        }),
        z.object({ role: z.literal('tool'), tool_call_id: z.string(), content: Content }),
      ]),
    )
    .min(1),
});

/** Throws a ZodError for a body that the protocol does not allow. */
export function readOpenAi(body: unknown): { conversation: Conversation; stream: boolean; usageInStream: boolean } {
  const request = Request.parse(body);
  const system: string[] = [];
  const turns: Turn[] = [];
  for (const message of request.messages) {
    if (message.role === 'system' || message.role === 'developer') system.push(textOf(message.content));
    else if (message.role === 'user') turns.push({ role: 'user', text: textOf(message.content) });
    else if (message.role === 'assistant') {
      const calls = (message.tool_calls ?? []).map((call) => ({
        id: call.id,
        name: call.function.name,
        arguments: parseArguments(call.function.arguments),
      }));
      turns.push({ role: 'assistant', text: textOf(message.content ?? ''), calls });
    } else {
      const output = textOf(message.content);
      const result = { callId: message.tool_call_id, status: outcomeStatus(output), output };
      const last = turns.at(-1);
      if (last?.role === 'tool') last.results.push(result);
      else turns.push({ role: 'tool', results: [result] });
    }
  }
  return {
    conversation: {
      protocol: 'openai',
      model: request.model,
      system: system.join('\n\n'),
      turns,
      tools: (request.tools ?? []).map((tool) => tool.function.name),
    },
    stream: request.stream === true,
    usageInStream: request.stream_options?.include_usage === true,
  };
}

const usageOf = (usage: ModelUsage) => ({
  prompt_tokens: usage.inputTokens,
  completion_tokens: usage.outputTokens,
  total_tokens: usage.inputTokens + usage.outputTokens,
  prompt_tokens_details: { cached_tokens: usage.cachedInputTokens },
});

const finishReason = (answer: ScriptAnswer): string => (answer.calls.length > 0 ? 'tool_calls' : 'stop');

export function openAiAnswer({ id, created, model, answer, callIds, usage }: Exchange): object {
  const calls = answer.calls.map((call, i) => ({
    id: callIds[i],
    type: 'function',
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  }));
  return {
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created,
    model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: answer.text === '' ? null : answer.text,
          refusal: null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        logprobs: null,
        finish_reason: finishReason(answer),
      },
    ],
    usage: usageOf(usage),
  };
}

/** The events of a stream, ready to be written. */
export function* openAiStream(exchange: Exchange, withUsage: boolean): Generator<string> {
  const { id, created, model, answer, callIds, usage } = exchange;
  const head = { id: `chatcmpl-${id}`, object: 'chat.completion.chunk', created, model };
  const event = (delta: object, finish: string | null = null): string =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] })}\n\n`;

  yield event({ role: 'assistant', content: '' });
  for (const content of pieces(answer.text)) yield event({ content });
  for (const [index, call] of answer.calls.entries()) {
    yield event({
      tool_calls: [{ index, id: callIds[index], type: 'function', function: { name: call.name, arguments: '' } }],
    });
    for (const piece of pieces(JSON.stringify(call.arguments))) {
      yield event({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  yield event({}, finishReason(answer));
  if (withUsage) yield `data: ${JSON.stringify({ ...head, choices: [], usage: usageOf(usage) })}\n\n`;
  yield 'data: [DONE]\n\n';
}
