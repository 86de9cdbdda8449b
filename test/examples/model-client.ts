/** Asks a model through the official SDKs, streaming, as one conversation of a neutral form. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

export type Call = { id: string; name: string; arguments: string };
export type Result = { callId: string; status: 'ok' | 'error' | 'interrupted'; output: string };
export type Said =
  | { role: 'system'; text: string }
  | { role: 'user'; text: string }
  | { role: 'assistant'; text: string; calls: Call[] }
  | { role: 'tool'; results: Result[] };

export type Answer = { text: string; calls: Call[]; usage: { input: number; cached: number; output: number } };
export type Ask = (messages: readonly Said[], tools: readonly string[]) => Promise<Answer>;

export const MODEL = 'scripted-1';
const PARAMETERS = { type: 'object' as const, properties: {} };

export function openAiClient(url: string, apiKey = 'any'): Ask {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
  return async (messages, tools) => {
    const stream = client.chat.completions.stream({
      model: MODEL,
      stream_options: { include_usage: true },
      messages: messages.flatMap(toOpenAi),
      tools: tools.map((name) => ({ type: 'function', function: { name, parameters: PARAMETERS } })),
    });
    const completion = await stream.finalChatCompletion();
    const message = completion.choices[0]?.message;
    const calls = (message?.tool_calls ?? []).flatMap((call) =>
      call.type === 'function' ? [{ id: call.id, name: call.function.name, arguments: call.function.arguments }] : [],
    );
    const usage = completion.usage;
    return {
      text: message?.content ?? '',
      calls,
      usage: {
        input: usage?.prompt_tokens ?? -1,
        cached: usage?.prompt_tokens_details?.cached_tokens ?? -1,
        output: usage?.completion_tokens ?? -1,
      },
    };
  };
}

function toOpenAi(said: Said): OpenAI.ChatCompletionMessageParam[] {
  if (said.role === 'system' || said.role === 'user') return [{ role: said.role, content: said.text }];
  if (said.role === 'tool') {
    return said.results.map(({ callId, status, output }) => ({
      role: 'tool',
      tool_call_id: callId,
      content: status === 'ok' ? output : `[${status}]\n${output}`,
    }));
  }
  const tool_calls = said.calls.map((call) => ({
    id: call.id,
    type: 'function' as const,
    function: { name: call.name, arguments: call.arguments },
  }));
  return [{ role: 'assistant', content: said.text, ...(tool_calls.length > 0 ? { tool_calls } : {}) }];
}

export function anthropicClient(url: string, apiKey = 'any'): Ask {
  const client = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
  return async (messages, tools) => {
    const stream = client.messages.stream({
      model: MODEL,
      max_tokens: 16_000,
      system: messages.flatMap((said) => (said.role === 'system' ? [said.text] : [])).join('\n\n'),
      messages: messages.flatMap(toAnthropic),
      tools: tools.map((name) => ({ name, input_schema: PARAMETERS })),
    });
    const message = await stream.finalMessage();
    const usage = message.usage;
    const cached = usage.cache_read_input_tokens ?? 0;
    return {
      text: message.content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
      calls: message.content.flatMap((block) =>
        block.type === 'tool_use' ? [{ id: block.id, name: block.name, arguments: JSON.stringify(block.input) }] : [],
      ),
      usage: { input: usage.input_tokens + cached, cached, output: usage.output_tokens },
    };
  };
}

function toAnthropic(said: Said): Anthropic.MessageParam[] {
  if (said.role === 'system') return [];
  if (said.role === 'user') return [{ role: 'user', content: said.text }];
  if (said.role === 'tool') {
    return [
      {
        role: 'user',
        content: said.results.map(({ callId, status, output }) => ({
          type: 'tool_result',
          tool_use_id: callId,
          content: output,
          ...(status === 'ok' ? {} : { is_error: true }),
        })),
      },
    ];
  }
  const text = said.text === '' ? [] : [{ type: 'text' as const, text: said.text }];
  const calls = said.calls.map((call) => ({
    type: 'tool_use' as const,
    id: call.id,
    name: call.name,
    input: JSON.parse(call.arguments) as unknown,
  }));
  return [{ role: 'assistant', content: [...text, ...calls] }];
}
