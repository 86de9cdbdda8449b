import { describe, expect, test } from 'vitest';
import { type ProviderFailure, retryAfter } from '../../../../src/activities/llm/failures.ts';
import { createProvider } from '../../../../src/activities/llm/providers/create.ts';
import { failureTypeOf } from '../../../../src/shared/base/failures.ts';
import type { Message } from '../../../../src/shared/contracts/agent.ts';
import type { Fault } from '../../../support/llm-server.ts';
import { completionRequest, endpointTo, failureOf, KEY, useLlmServers } from '../support.ts';

const serve = useLlmServers();

describe.each(['openai', 'anthropic'] as const)('%s', (protocol) => {
  test('text that comes in many chunks is one answer with its usage', async () => {
    const text = 'A longer answer — with ünïcode, 🚀 and\nlines.';
    const server = await serve({ answer: () => ({ text, usage: { input: 120, cached: 40, output: 9 } }) });
    const answer = await createProvider(endpointTo(server, protocol)).complete(completionRequest());
    expect(answer).toEqual({
      text,
      toolCalls: [],
      stop: 'end',
      tokens: { inputTokens: 120, cachedInputTokens: 40, cacheWriteInputTokens: 0, outputTokens: 9 },
      firstTokenMs: expect.any(Number),
    });
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toMatchObject({
      idempotencyKey: 'run/a.1/agent/f1/1',
      authorization: `Bearer ${KEY}`,
      outcome: 'answered',
      body: { stream: true, max_tokens: 1_000, model: 'model-a' },
    });
  });

  test('parallel tool calls whose arguments are split over chunks come back whole and in order', async () => {
    const toolCalls = [
      { id: 'id_1', name: 'bash', arguments: '{"command":"echo \\"one two three\\" && ls -la"}' },
      { id: 'id_2', name: 'read', arguments: '{"path":"src/a very long path/index.ts"}' },
      { id: 'id_3', name: 'bash', arguments: '{"command":"true"}' },
    ];
    const server = await serve({ answer: () => ({ text: 'I will.', toolCalls, chunkSize: 5 }) });
    const answer = await createProvider(endpointTo(server, protocol)).complete(completionRequest());
    expect(answer.toolCalls).toEqual(toolCalls);
    expect(answer).toMatchObject({ text: 'I will.', stop: 'tool-calls' });
  });

  test('an answer cut at the token limit says so', async () => {
    const server = await serve({ answer: () => ({ text: 'and then', finish: 'length' }) });
    const answer = await createProvider(endpointTo(server, protocol)).complete(completionRequest());
    expect(answer).toMatchObject({ text: 'and then', stop: 'length' });
  });

  test('an empty answer is given back as such', async () => {
    const server = await serve({ answer: () => ({}) });
    const answer = await createProvider(endpointTo(server, protocol)).complete(completionRequest());
    expect(answer).toMatchObject({ text: '', toolCalls: [], stop: 'end' });
  });

  test('a key that is not ASCII is sent in the header all the same', async () => {
    const server = await serve();
    const request = completionRequest({ idempotencyKey: 'läuft 🚀/a.1/agent/f/2' });
    await createProvider(endpointTo(server, protocol)).complete(request);
    expect(server.requests[0]?.idempotencyKey).toBe('l%C3%A4uft%20%F0%9F%9A%80/a.1/agent/f/2');
  });

  test.each<[string, Fault, ProviderFailure['kind']]>([
    ['an overload', { kind: 'status', status: 529 }, 'throttled'],
    ['a server error', { kind: 'status', status: 503 }, 'unavailable'],
    ['a refused request', { kind: 'status', status: 400 }, 'wrong-request'],
    ['a refused key', { kind: 'status', status: 401 }, 'refused'],
    ['an unpaid bill', { kind: 'status', status: 402 }, 'refused'],
    ['a connection that is reset before the headers', { kind: 'reset', afterEvents: 0 }, 'unavailable'],
    ['a connection that is reset in the stream', { kind: 'reset', afterEvents: 3 }, 'unavailable'],
    ['a stream that ends early as if it were complete', { kind: 'truncate', afterEvents: 3 }, 'malformed'],
    ['an event that is not JSON', { kind: 'not-json' }, 'malformed'],
    ['an event of another shape', { kind: 'wrong-shape' }, 'malformed'],
    ['a page of HTML', { kind: 'html' }, 'malformed'],
    ['an error in the stream', { kind: 'error-event', type: 'overloaded_error', message: 'busy' }, 'throttled'],
    ['a refusal in the stream', { kind: 'error-event', type: 'invalid_request_error', message: 'no' }, 'wrong-request'],
  ])('%s is told apart', async (_, fault, kind) => {
    const server = await serve({ answer: () => ({ text: 'a text of several chunks' }) });
    server.next.push(fault);
    const failure = await failureOf(createProvider(endpointTo(server, protocol)).complete(completionRequest()));
    expect(failure.message).toContain(protocol);
    expect([failure.kind, failure.message]).toEqual([kind, expect.any(String)]);
    expect(server.requests).toHaveLength(1);
  });

  test.each([0, 2])('silence after %i events is given up, and the request is closed', async (afterEvents) => {
    const server = await serve({ answer: () => ({ text: 'a text of several chunks' }) });
    server.next.push({ kind: 'stall', afterEvents });
    const startedAt = Date.now();
    const provider = createProvider(endpointTo(server, protocol));
    const failure = await failureOf(provider.complete(completionRequest({ idleMs: 300 })));
    expect(failure).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('silent for 0.3 s') });
    expect(Date.now() - startedAt).toBeLessThan(2_000);
    await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
  });

  test('a slow stream is no silent one', async () => {
    const server = await serve({ answer: () => ({ text: 'x'.repeat(60), chunkDelayMs: 60 }) });
    const provider = createProvider(endpointTo(server, protocol));
    const answer = await provider.complete(completionRequest({ idleMs: 300 }));
    expect(answer.text).toBe('x'.repeat(60));
  });

  test('an abort ends the request at once, with the reason it was given', async () => {
    const server = await serve();
    server.next.push({ kind: 'stall', afterEvents: 2 });
    const controller = new AbortController();
    const pending = createProvider(endpointTo(server, protocol)).complete(
      completionRequest({ signal: controller.signal }),
    );
    await expect.poll(() => server.requests.length).toBe(1);
    const reason = new Error('no longer wanted');
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
    await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
  });

  test('Retry-After is read in seconds, and in milliseconds', async () => {
    const server = await serve();
    const provider = createProvider(endpointTo(server, protocol));
    server.next.push({ kind: 'status', status: 429, headers: { 'retry-after': '7' } });
    expect((await failureOf(provider.complete(completionRequest()))).retryAfterMs).toBe(7_000);
    server.next.push({ kind: 'status', status: 429, headers: { 'retry-after-ms': '250' } });
    expect((await failureOf(provider.complete(completionRequest()))).retryAfterMs).toBe(250);
  });

  test('the key is not in failures, also when the provider repeats it', async () => {
    const server = await serve({ apiKey: 'another' });
    const failure = await failureOf(createProvider(endpointTo(server, protocol)).complete(completionRequest()));
    expect(failure.message).toContain('Incorrect API key provided: [redacted]');
    expect(`${failure.stack} ${JSON.stringify(failure)} ${String(failure.cause)}`).not.toContain(KEY);
  });

  test('an answer that no history can hold is refused for good while it still comes', async () => {
    const server = await serve({
      answer: () => ({ text: 'y'.repeat(3_000_000), chunkSize: 100_000, chunkDelayMs: 5 }),
    });
    const pending = createProvider(endpointTo(server, protocol)).complete(completionRequest());
    const error = await pending.then(
      () => null,
      (e: unknown) => e,
    );
    expect(failureTypeOf(error)).toBe('AnswerTooLarge');
    await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
  });

  test('nobody listening is an outage', async () => {
    const server = await serve();
    await server.close();
    const failure = await failureOf(createProvider(endpointTo(server, protocol)).complete(completionRequest()));
    expect(failure).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('ECONNREFUSED') });
  });
});

const conversation: Message[] = [
  { role: 'system', text: 'Be brief.' },
  { role: 'user', text: 'Go.' },
  {
    role: 'assistant',
    text: '',
    toolCalls: [
      { id: 'c1', name: 'bash', arguments: '{"command":"ls"}' },
      { id: 'c2', name: 'no such tool!', arguments: 'not json' },
      { id: 'c3', name: 'read', arguments: '' },
    ],
  },
  {
    role: 'tool',
    results: [
      { callId: 'c2', name: 'no such tool!', status: 'error', output: 'there is no such tool' },
      { callId: 'c1', name: 'bash', status: 'ok', output: 'a\nb' },
    ],
  },
  { role: 'user', text: 'A word from a person.' },
];

test('openai is sent one message for each result, in the order of the calls, and nothing that it refuses', async () => {
  const server = await serve();
  await createProvider(endpointTo(server, 'openai')).complete(completionRequest({ messages: conversation }));
  const call = (id: string, name: string, args: string) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  });
  expect(server.requests[0]?.body['messages']).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Go.' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        call('c1', 'bash', '{"command":"ls"}'),
        call('c2', 'no_such_tool_', '{"invalid_arguments":"not json"}'),
        call('c3', 'read', '{}'),
      ],
    },
    { role: 'tool', tool_call_id: 'c1', content: 'a\nb' },
    { role: 'tool', tool_call_id: 'c2', content: '[error]\nthere is no such tool' },
    { role: 'tool', tool_call_id: 'c3', content: '[interrupted]\nThis call was not run.' },
    { role: 'user', content: 'A word from a person.' },
  ]);
  expect(server.requests[0]?.body).toMatchObject({
    stream_options: { include_usage: true },
    tools: [
      { type: 'function', function: { name: 'bash', parameters: { type: 'object', required: ['command'] } } },
      { type: 'function', function: { name: 'read' } },
    ],
  });
});

test('anthropic is sent turns that alternate, with all results first in theirs, and cache breakpoints', async () => {
  const server = await serve();
  await createProvider(endpointTo(server, 'anthropic')).complete(completionRequest({ messages: conversation }));
  const cache_control = { type: 'ephemeral' };
  expect(server.requests[0]?.body).toMatchObject({
    system: [{ type: 'text', text: 'Be brief.', cache_control }],
    tools: [{ name: 'bash', input_schema: { type: 'object', required: ['command'] } }, { name: 'read' }],
  });
  expect(server.requests[0]?.body['messages']).toEqual([
    { role: 'user', content: [{ type: 'text', text: 'Go.', cache_control }] },
    {
      role: 'assistant',
      content: [
        { type: 'tool_use', id: 'c1', name: 'bash', input: { command: 'ls' } },
        { type: 'tool_use', id: 'c2', name: 'no_such_tool_', input: { invalid_arguments: 'not json' } },
        { type: 'tool_use', id: 'c3', name: 'read', input: {} },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'c1', content: 'a\nb' },
        { type: 'tool_result', tool_use_id: 'c2', content: 'there is no such tool', is_error: true },
        { type: 'tool_result', tool_use_id: 'c3', content: 'This call was not run.', is_error: true },
        { type: 'text', text: 'A word from a person.', cache_control },
      ],
    },
  ]);
});

test('a server that knows only the newer name of the token limit is sent that from then on', async () => {
  const server = await serve();
  const message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.";
  server.next.push({ kind: 'status', status: 400, message });
  const provider = createProvider(endpointTo(server, 'openai'));
  await provider.complete(completionRequest());
  await provider.complete(completionRequest());
  const limits = server.requests.map(({ body }) => [body['max_tokens'], body['max_completion_tokens']]);
  expect(limits).toEqual([
    [1_000, undefined],
    [undefined, 1_000],
    [undefined, 1_000],
  ]);
});

test('a server without stream_options is asked without them', async () => {
  const server = await serve({ answer: () => ({ text: 'hi', usage: null }) });
  server.next.push({ kind: 'status', status: 400, message: 'Unrecognized request argument supplied: stream_options' });
  const answer = await createProvider(endpointTo(server, 'openai')).complete(completionRequest());
  expect(answer).toMatchObject({ text: 'hi', tokens: null });
  expect(server.requests[1]?.body).not.toHaveProperty('stream_options');
});

test('a limit that is too high is a refusal, and asked once', async () => {
  const server = await serve();
  server.next.push({ kind: 'status', status: 400, message: 'max_tokens is too large: 1000. At most 10 are possible.' });
  const failure = await failureOf(createProvider(endpointTo(server, 'openai')).complete(completionRequest()));
  expect(failure.kind).toBe('wrong-request');
  expect(server.requests).toHaveLength(1);
});

test('a date in Retry-After is a time from now, one in the past none, and what is neither is not one', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const read = (value: string) => retryAfter(new Headers({ 'retry-after': value }), now);
  expect(read('Thu, 01 Jan 2026 00:00:30 GMT')).toBe(30_000);
  expect(read('Wed, 31 Dec 2025 00:00:00 GMT')).toBe(0);
  expect(read('86400')).toBe(600_000);
  expect(read('soon')).toBeUndefined();
});
