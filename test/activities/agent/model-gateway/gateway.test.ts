/** The gateway as clients see it: both vendors' own SDKs talk to it, and it to real servers of both protocols. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import type { AgentMessage } from '../../../../src/shared/contracts/agent-run.ts';
import type { ScriptedAnswer } from '../../../support/llm-server.ts';
import { asked, LIMITS, setUp, TOKEN } from './support.ts';

const CALLING: ScriptedAnswer = {
  text: 'I look.',
  toolCalls: [
    { id: 'call_a', name: 'look', arguments: '{"path":"a"}' },
    { id: 'call_b', name: 'look', arguments: '{"path":"b"}' },
  ],
  usage: { input: 120, output: 30, cached: 100 },
};

const PARAMETERS = { type: 'object' as const, properties: { path: { type: 'string' } }, required: ['path'] };

describe.each(['openai', 'anthropic'] as const)('before a provider that speaks %s', (behind) => {
  it.each([true, false])("serves OpenAI's SDK (streaming: %s) with text, parallel tools and usage", async (stream) => {
    const { openai, provider, gateway } = await setUp(behind, CALLING);
    const request: OpenAI.ChatCompletionCreateParamsNonStreaming = {
      model: 'whatever',
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Look at a ' },
            { type: 'text', text: 'and b.' },
          ],
        },
      ],
      tools: [{ type: 'function', function: { name: 'look', description: 'Looks.', parameters: PARAMETERS } }],
    };
    const answer = stream
      ? await openai.chat.completions
          .stream({ ...request, stream: true, stream_options: { include_usage: true } })
          .finalChatCompletion()
      : await openai.chat.completions.create(request);
    expect(answer.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: 'I look.',
        tool_calls: [
          { id: 'call_a', function: { name: 'look', arguments: '{"path":"a"}' } },
          { id: 'call_b', function: { name: 'look', arguments: '{"path":"b"}' } },
        ],
      },
    });
    const { inputTokens, outputTokens, cachedInputTokens, costUsd } = gateway.metrics;
    expect(answer.usage).toMatchObject({
      prompt_tokens: inputTokens,
      completion_tokens: outputTokens,
      prompt_tokens_details: { cached_tokens: cachedInputTokens },
    });
    expect(outputTokens).toBe(30);
    expect(cachedInputTokens).toBe(100);
    expect(costUsd).toBeGreaterThan(0);
    const said = JSON.stringify(asked(provider));
    for (const text of ['Be brief.', 'Look at a ', 'and b.', '"look"', 'Looks.', 'model-a'])
      expect(said).toContain(text);
    expect(said).not.toContain('whatever');
  });

  it.each([true, false])(
    "serves Anthropic's SDK (streaming: %s) with text, parallel tools and usage",
    async (stream) => {
      const { anthropic, provider, gateway } = await setUp(behind, CALLING);
      const request: Anthropic.MessageCreateParamsNonStreaming = {
        model: 'whatever',
        max_tokens: 5_000,
        system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
        messages: [
          { role: 'user', content: 'Look.' },
          { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'look', input: { path: 'x' } }] },
          {
            role: 'user',
            content: [
              {
                type: 'tool_result',
                tool_use_id: 'toolu_1',
                is_error: true,
                content: [{ type: 'text', text: 'no x' }],
              },
              { type: 'text', text: 'Then a and b.' },
            ],
          },
        ],
        tools: [{ name: 'look', description: 'Looks.', input_schema: PARAMETERS }],
      };
      const answer = stream
        ? await anthropic.messages.stream(request).finalMessage()
        : await anthropic.messages.create(request);
      expect(answer.stop_reason).toBe('tool_use');
      expect(answer.content).toMatchObject([
        { type: 'text', text: 'I look.' },
        { type: 'tool_use', id: 'call_a', name: 'look', input: { path: 'a' } },
        { type: 'tool_use', id: 'call_b', name: 'look', input: { path: 'b' } },
      ]);
      expect(answer.usage.output_tokens).toBe(gateway.metrics.outputTokens);
      const said = JSON.stringify(asked(provider));
      for (const text of ['Be brief.', 'no x', 'Then a and b.', 'toolu_1']) expect(said).toContain(text);
      expect(said).not.toContain('5000');
    },
  );
});

it('another token asks no model, and is told so in the words of either protocol', async () => {
  const { url, provider } = await setUp('openai', CALLING);
  const openai = new OpenAI({ apiKey: 'wrong', baseURL: `${url}/v1`, maxRetries: 0 });
  const anthropic = new Anthropic({ apiKey: '', baseURL: url, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'hi' }];
  await expect(openai.chat.completions.create({ model: 'm', messages })).rejects.toBeInstanceOf(
    OpenAI.AuthenticationError,
  );
  await expect(openai.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  await expect(anthropic.messages.create({ model: 'm', messages, max_tokens: 5 })).rejects.toBeInstanceOf(
    Anthropic.AuthenticationError,
  );
  expect(provider.requests).toEqual([]);
});

it('no call is made beyond a limit, and clients do not try again', async () => {
  const { url, provider, gateway } = await setUp('openai', { text: 'yes' }, { limits: { ...LIMITS, turns: 2 } });
  const openai = new OpenAI({ apiKey: TOKEN, baseURL: `${url}/v1`, maxRetries: 3 });
  const ask = () => openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
  await ask();
  await ask();
  expect(gateway.reached).toBeUndefined();
  await expect(ask()).rejects.toBeInstanceOf(OpenAI.PermissionDeniedError);
  expect(gateway.reached).toBe('The limit of 2 calls is reached.');
  expect(provider.requests).toHaveLength(2);
  expect(gateway.metrics.turns).toBe(2);
});

it('a context that is too long is said as each protocol says it, so that the agent compacts', async () => {
  const { openai, anthropic, provider } = await setUp('openai', { text: 'yes' });
  provider.always = { kind: 'status', status: 400, message: 'maximum context length is 10 tokens' };
  const messages = [{ role: 'user' as const, content: 'hi' }];
  await expect(openai.chat.completions.create({ model: 'm', messages })).rejects.toMatchObject({
    status: 400,
    code: 'context_length_exceeded',
  });
  await expect(anthropic.messages.create({ model: 'm', messages, max_tokens: 5 })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining('prompt is too long') as string,
  });
});

it('what is no request is refused by name, and nothing is asked', async () => {
  const { openai, url, provider, gateway } = await setUp('openai', { text: 'yes' });
  const post = (path: string, body: string, headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }) =>
    fetch(`${url}${path}`, { method: 'POST', headers, body });
  await expect(openai.responses.create({ model: 'm', input: 'hi' })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  const gemini = await post('/v1beta/models/m:streamGenerateContent', '{}', { 'x-goog-api-key': TOKEN });
  expect([gemini.status, await gemini.text()]).toEqual([404, expect.stringContaining('There is no POST /v1beta')]);
  expect(gateway.lastCall.unanswered).toBeUndefined();
  for (const body of ['{"model":', '[]', '{"model":"m"}', '{"messages":"hi"}']) {
    const refused = await post('/v1/chat/completions', body);
    expect([body, refused.status]).toEqual([body, 400]);
  }
  expect(gateway.lastCall.unanswered).toContain('messages');
  expect(provider.requests).toEqual([]);
});

it('says that it is there to whoever asks, and nothing else without the token', async () => {
  const { url } = await setUp('openai', { text: 'yes' });
  expect((await fetch(`${url}/api/hello`, { method: 'HEAD' })).status).toBe(200);
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
});

it('refuses the call that the budget of the run does not have room for, before it is made', async () => {
  const { openai, provider, gateway } = await setUp('openai', CALLING, { budget: { tokens: 4_000 } });
  const ask = () => openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'go' }] });
  await ask();
  // 150 are used, and an answer of 2,000 still fits; after it none does.
  await openai.chat.completions.create({ model: 'm', max_tokens: 3_000, messages: [{ role: 'user', content: 'go' }] });
  const long = { role: 'user' as const, content: 'x'.repeat(8_000) };
  await expect(openai.chat.completions.create({ model: 'm', messages: [long] })).rejects.toMatchObject({ status: 403 });
  expect(provider.requests).toHaveLength(2);
  expect(gateway.reached).toBe('The budget of this work is spent.');
});

it('tells what people say once it is asked something, in every request from then on, and who was told', async () => {
  const inbox: AgentMessage[] = [];
  const { openai, provider, gateway } = await setUp('openai', CALLING, { messages: () => Promise.resolve(inbox) });
  const first: OpenAI.ChatCompletionMessageParam = { role: 'user', content: 'go' };
  const create = (messages: OpenAI.ChatCompletionMessageParam[]) =>
    openai.chat.completions.create({ model: 'm', messages });
  await create([first]);
  inbox.push({ id: 's1', text: 'Use tabs.' });
  const said = () => (asked(provider)['messages'] as { role: string; content: string }[]).map(({ content }) => content);
  await create([first]);
  expect(said()).toEqual(['go', expect.stringContaining('Use tabs.')]);
  await create([first, { role: 'assistant', content: 'Yes.' }, { role: 'user', content: 'further' }]);
  expect(said()).toEqual(['go', expect.stringContaining('Use tabs.'), 'Yes.', 'further']);
  expect(gateway.deliveredIds).toEqual(['s1']);
});
