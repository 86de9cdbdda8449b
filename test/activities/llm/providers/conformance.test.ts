/** Our clients of both protocols against somebody else's idea of them. */
import { type FixtureOpts, LLMock } from '@copilotkit/aimock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProviderFailure } from '../../../../src/activities/llm/failures.ts';
import { createLlmProvider } from '../../../../src/activities/llm/providers/create.ts';
import type { Message } from '../../../../src/shared/contracts/agent.ts';
import { completionRequest, endpointTo, failureOf } from '../support.ts';

let mock: LLMock;
beforeEach(async () => {
  mock = new LLMock({ port: 0 });
  await mock.start();
});
afterEach(() => mock.stop());

type Protocol = 'openai' | 'anthropic';
const provider = (protocol: Protocol) =>
  createLlmProvider(endpointTo({ openaiUrl: `${mock.url}/v1`, anthropicUrl: mock.url }, protocol));

/** Fixtures are found by what the last user said: "Say hello." of `completionRequest`. */
const onHello = (response: Parameters<LLMock['onMessage']>[1], options: FixtureOpts = {}): void =>
  void mock.onMessage('Say hello', response, options);

const LONG = `A longer answer — with ünïcode, 🚀, "quotes", \\backslashes\\ and\nlines. `.repeat(40);

describe.each<Protocol>(['openai', 'anthropic'])('%s', (protocol) => {
  test('streamed text is put together to the letter, with its usage', async () => {
    onHello({ content: LONG, usage: { prompt_tokens: 321, completion_tokens: 45 } }, { chunkSize: 3 });
    expect(await provider(protocol).complete(completionRequest())).toEqual({
      text: LONG,
      toolCalls: [],
      stop: 'end',
      tokens: { inputTokens: 321, cachedInputTokens: 0, cacheWriteInputTokens: 0, outputTokens: 45 },
      firstTokenMs: expect.any(Number),
    });
  });

  test('usage that is all zeros is taken as not reported', async () => {
    onHello({ content: 'hi', usage: { prompt_tokens: 0, completion_tokens: 0 } });
    expect((await provider(protocol).complete(completionRequest())).tokens).toBeNull();
  });

  test('a tool call comes with its arguments as the model wrote them', async () => {
    const command = 'printf "%s\\n" "ünïcode 🚀" | sed -e \'s/a/b/\'';
    onHello({ toolCalls: [{ id: 'call_1', name: 'bash', arguments: JSON.stringify({ command }) }] }, { chunkSize: 2 });
    const answer = await provider(protocol).complete(completionRequest());
    expect(answer).toMatchObject({ text: '', stop: 'tool-calls' });
    expect(answer.toolCalls.map(({ name, arguments: text }) => [name, JSON.parse(text) as unknown])).toEqual([
      ['bash', { command }],
    ]);
    expect(answer.toolCalls[0]?.id).not.toBe('');
  });

  test('parallel tool calls with text before them keep their order and do not mix', async () => {
    const toolCalls = ['one', 'two', 'three'].map((word, i) => ({
      id: `call_${i}`,
      name: i === 1 ? 'read' : 'bash',
      arguments: JSON.stringify(i === 1 ? { path: `src/${word}.ts` } : { command: `echo ${word}` }),
    }));
    onHello({ content: 'I will look.', toolCalls }, { chunkSize: 2 });
    const answer = await provider(protocol).complete(completionRequest());
    expect(answer).toMatchObject({ text: 'I will look.', stop: 'tool-calls' });
    expect(answer.toolCalls).toEqual(toolCalls);
  });

  test('calls that come before and between text are calls all the same', async () => {
    onHello({
      blocks: [
        { type: 'toolCall', id: 'call_a', name: 'bash', arguments: '{"command":"ls"}' },
        { type: 'text', text: 'and then' },
        { type: 'toolCall', id: 'call_b', name: 'read', arguments: '{"path":"a"}' },
      ],
    });
    const answer = await provider(protocol).complete(completionRequest());
    expect(answer).toMatchObject({ text: 'and then', stop: 'tool-calls' });
    expect(answer.toolCalls.map(({ id }) => id)).toEqual(['call_a', 'call_b']);
  });

  test('what a model thinks is no part of what it says', async () => {
    onHello({ content: 'the answer', reasoning: 'first I thought about it' });
    expect(await provider(protocol).complete(completionRequest())).toMatchObject({ text: 'the answer', stop: 'end' });
  });

  test('a conversation with calls and results is understood, result by result', async () => {
    const messages: Message[] = [
      { role: 'system', text: 'Be brief.' },
      { role: 'user', text: 'Go.' },
      { role: 'assistant', text: '', toolCalls: [{ id: 'call_9', name: 'bash', arguments: '{"command":"ls"}' }] },
      { role: 'tool', results: [{ callId: 'call_9', name: 'bash', status: 'ok', output: 'needle.txt' }] },
    ];
    mock.on({ toolCallId: 'call_9', toolResultContains: 'needle', systemMessage: 'Be brief' }, { content: 'found it' });
    const answer = await provider(protocol).complete(completionRequest({ messages }));
    expect(answer.text).toBe('found it');
  });

  test.each([
    ['the limit of tokens', 'length', 'length'],
    ['a refusal', protocol === 'openai' ? 'content_filter' : 'refusal', 'refusal'],
  ])('an answer that ends by %s says so', async (_, finishReason, stop) => {
    onHello({ content: 'I cannot', finishReason });
    expect(await provider(protocol).complete(completionRequest())).toMatchObject({ text: 'I cannot', stop });
  });

  test.each<[number, string, string, ProviderFailure['kind']]>([
    [400, 'invalid_request_error', 'messages: at least one message is required', 'wrong-request'],
    [400, 'invalid_request_error', "This model's maximum context length is 8192 tokens.", 'too-long'],
    [401, 'authentication_error', 'invalid x-api-key', 'refused'],
    [403, 'permission_error', 'Your key does not have permission', 'refused'],
    [404, 'not_found_error', 'model: nothing-like-it', 'refused'],
    [413, 'request_too_large', 'Request exceeds the maximum size', 'too-long'],
    [429, 'rate_limit_error', 'Number of requests has exceeded your rate limit', 'throttled'],
    [500, 'api_error', 'Internal server error', 'unavailable'],
    [503, 'api_error', 'The engine is currently overloaded', 'unavailable'],
    [529, 'overloaded_error', 'Overloaded', 'throttled'],
  ])('status %i (%s: %s) is %s', async (status, type, message, kind) => {
    mock.nextRequestError(status, { message, type });
    const failure = await failureOf(provider(protocol).complete(completionRequest()));
    expect(failure).toMatchObject({ kind, status, message: expect.stringContaining(message) });
  });

  test('the time that a 429 asks for is read', async () => {
    onHello({ error: { message: 'slow down', type: 'rate_limit_error' }, status: 429, retryAfter: 17 });
    expect(await failureOf(provider(protocol).complete(completionRequest()))).toMatchObject({
      kind: 'throttled',
      retryAfterMs: 17_000,
    });
  });

  test.each<[string, FixtureOpts, ProviderFailure['kind'][]]>([
    ['cut off after some chunks', { chunkSize: 5, truncateAfterChunks: 4 }, ['malformed', 'unavailable']],
    [
      'disconnected while it streams',
      { chunkSize: 1, latency: 20, disconnectAfterMs: 120 },
      ['malformed', 'unavailable'],
    ],
    ['malformed', { chaos: { malformedRate: 1 } }, ['malformed']],
    ['dropped', { chaos: { dropRate: 1 } }, ['unavailable']],
    ['disconnected before it begins', { chaos: { disconnectRate: 1 } }, ['unavailable']],
    ['limited', { chaos: { rateLimitRate: 1 } }, ['throttled']],
  ])('an answer that is %s is no answer, and nothing of it is given out', async (_, options, kinds) => {
    onHello({ content: LONG }, options);
    const failure = await failureOf(provider(protocol).complete(completionRequest()));
    expect(kinds).toContain(failure.kind);
  });

  test('its list of models is read', async () => {
    onHello({ content: 'hi' });
    expect(Array.isArray(await provider(protocol).listModels(AbortSignal.timeout(5_000)))).toBe(true);
  });
});

test('openai: a gateway’s comments that keep the connection alive are nothing, its cached and reasoning tokens count', async () => {
  onHello(
    {
      content: 'through a gateway',
      usage: {
        prompt_tokens: 500,
        completion_tokens: 90,
        prompt_tokens_details: { cached_tokens: 400 },
        completion_tokens_details: { reasoning_tokens: 70 },
      },
    },
    { openRouterProcessing: true },
  );
  const gateway = endpointTo({ openaiUrl: `${mock.url}/api/v1`, anthropicUrl: mock.url }, 'openai');
  expect(await createLlmProvider(gateway).complete(completionRequest())).toMatchObject({
    text: 'through a gateway',
    tokens: { inputTokens: 500, cachedInputTokens: 400, outputTokens: 90, reasoningTokens: 70 },
  });
});
