/** Requests as coding agents of today send them, and whatever may be in those of tomorrow. */
import { readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { AgentMessage } from '../../../../src/shared/contracts/agent-run.ts';
import type { LlmServer } from '../../../support/llm-server.ts';
import { asked, setUp, TOKEN } from './support.ts';

type Sent = { path: string; beta: string; body: Record<string, unknown> };
/** Made by running it on a scripted model; ids are replaced, long texts and most tools cut. */
const CLAUDE = JSON.parse(
  readFileSync(new URL('./fixture/claude-code-2.1.332.json', import.meta.url), 'utf8'),
) as Record<'conversation' | 'tool search' | 'web search', Sent>;
const UNAVAILABLE = { type: 'web_search_tool_result_error', error_code: 'unavailable' };

const post = (url: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': TOKEN, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const sendClaude = (url: string, { path, beta, body }: Sent) => post(url, path, body, { 'anthropic-beta': beta });
const texts = (provider: LlmServer): string => JSON.stringify(asked(provider)['messages']);

describe('Claude Code', () => {
  it("is passed through to an endpoint of its own protocol, unchanged but for the model and its answer's length", async () => {
    const { url, provider } = await setUp('anthropic', { text: 'Done.' });
    for (const sent of [CLAUDE.conversation, CLAUDE['tool search']]) {
      const answer = await sendClaude(url, sent);
      expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('"model":"agentswarm"')]);
      expect(asked(provider)).toEqual({ ...sent.body, model: 'model-a', max_tokens: 2_000 });
      expect(provider.requests.at(-1)?.headers['anthropic-beta']).toBe(sent.beta);
    }
    expect(JSON.stringify(CLAUDE.conversation.body)).toMatch(
      /"role":"system".*"signature".*"type":"image".*"cache_control"/,
    );
  });

  it('is translated for an endpoint of the other: in place are the words of its system, its images and tools', async () => {
    const { url, provider } = await setUp('openai', { text: 'Done.' });
    expect((await sendClaude(url, CLAUDE.conversation)).status).toBe(200);
    const roles = (asked(provider)['messages'] as { role: string }[]).map(({ role }) => role);
    expect(roles.slice(0, 5)).toEqual(['system', 'user', 'user', 'assistant', 'tool']);
    expect(texts(provider)).toContain('# Environment');
    expect(texts(provider)).toContain('[An image, which is not passed on: text only.]');
    const names = () =>
      (asked(provider)['tools'] as { function: { name: string } }[]).map((tool) => tool.function.name);
    expect(names()).toEqual(['Read', 'ToolSearch', 'Write']);
    expect((await sendClaude(url, CLAUDE['tool search'])).status).toBe(200);
    expect(texts(provider)).toContain('[The tool WebSearch is there now.]');
    expect(names()).toEqual(['NotebookEdit', 'Read', 'ToolSearch', 'WebSearch', 'Write']);
  });

  it.each(['openai', 'anthropic'] as const)('is told that there is no web search, by nobody (%s)', async (behind) => {
    const { url, provider, gateway, anthropic } = await setUp(behind, { text: 'I have found much.' });
    const streamed = await (await sendClaude(url, CLAUDE['web search'])).text();
    expect(streamed).toContain(JSON.stringify(UNAVAILABLE));
    expect(streamed).not.toContain('found much');
    const { stream: _, ...rest } = CLAUDE['web search'].body;
    const body = { ...rest, max_tokens: 1_000 };
    const whole = await anthropic.messages.create(body as unknown as Anthropic.MessageCreateParamsNonStreaming);
    expect(whole.content).toMatchObject([{ type: 'server_tool_use' }, { content: UNAVAILABLE }, { type: 'text' }]);
    expect(whole.stop_reason).toBe('end_turn');
    expect(provider.requests).toEqual([]);
    expect(gateway.metrics.turns).toBe(0);
  });

  it('has its tokens counted', async () => {
    const { url } = await setUp('openai', {});
    const counted = await post(url, '/v1/messages/count_tokens?beta=true', CLAUDE.conversation.body);
    expect(await counted.json()).toEqual({ input_tokens: expect.any(Number) as number });
  });
});

it('what people say stands at one place in a body that passes through, never between a call and its result', async () => {
  const inbox: AgentMessage[] = [];
  const { url, provider } = await setUp('anthropic', { text: 'yes' }, { messages: () => Promise.resolve(inbox) });
  const round = (id: string) => [
    { role: 'assistant', content: [{ type: 'tool_use', id, name: 'look', input: {} }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: 'x' }] },
  ];
  const go = { role: 'user', content: 'go' };
  const send = async (messages: unknown[]) => {
    await post(url, '/v1/messages', { model: 'm', max_tokens: 9, messages });
    return asked(provider)['messages'];
  };
  inbox.push({ id: 's1', text: 'Use tabs.' });
  const told = { role: 'user', content: expect.stringContaining('Use tabs.') as string };
  const begun = [go, ...round('a')];
  expect(await send(begun)).toEqual([...begun, told]);
  expect(await send([...begun, ...round('b')])).toEqual([...begun, told, ...round('b')]);
  // Another conversation of the same agent, in which a result stands at that place.
  expect(await send([go, go, ...round('c'), ...round('d')])).toEqual([go, go, ...round('c'), told, ...round('d')]);
});

describe('an answer of the same protocol', () => {
  const THINKING = { text: 'Hm, well.', signature: 'c2lnbmF0dXJl' };
  const answer = {
    thinking: THINKING,
    text: 'I look.',
    toolCalls: [{ id: 'call_a', name: 'look', arguments: '{"path":"a"}' }],
  };

  it.each([true, false])("carries Anthropic's thinking with its signature (streaming: %s)", async (stream) => {
    const { anthropic } = await setUp('anthropic', answer);
    const request = { model: 'mine', max_tokens: 100, messages: [{ role: 'user' as const, content: 'go' }] };
    const message = stream
      ? await anthropic.messages.stream(request).finalMessage()
      : await anthropic.messages.create(request);
    expect(message).toMatchObject({ model: 'mine', stop_reason: 'tool_use', usage: { output_tokens: 20 } });
    expect(message.content).toMatchObject([
      { type: 'thinking', thinking: THINKING.text, signature: THINKING.signature },
      { type: 'text', text: 'I look.' },
      { type: 'tool_use', id: 'call_a', name: 'look', input: { path: 'a' } },
    ]);
  });

  it.each([true, false])("carries reasoning and the calls' own fields of OpenAI's (streaming: %s)", async (stream) => {
    const { openai } = await setUp('openai', answer);
    const request = { model: 'm', messages: [{ role: 'user' as const, content: 'go' }] };
    const { choices } = stream
      ? await openai.chat.completions.stream({ ...request, stream: true }).finalChatCompletion()
      : await openai.chat.completions.create(request);
    expect(choices[0]?.message).toMatchObject({
      content: 'I look.',
      reasoning_content: THINKING.text,
      tool_calls: [{ id: 'call_a', extra_content: { google: { thought_signature: THINKING.signature } } }],
    });
  });
});

describe('a body that an endpoint of the same protocol refuses', () => {
  const image = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AA' } };
  const withImage = { model: 'm', reasoning_effort: 'high', messages: [{ role: 'user' as const, content: [image] }] };

  it('is translated, and from then on the bodies of the same agent are at once', async () => {
    const { url, provider, gateway } = await setUp('openai', { text: 'yes' });
    provider.next.push({ kind: 'status', status: 400, message: 'this server takes no images' });
    for (const requests of [2, 3]) {
      expect((await post(url, '/v1/chat/completions', withImage)).status).toBe(200);
      expect(provider.requests).toHaveLength(requests);
    }
    const sent = provider.requests.map(({ body }) => JSON.stringify(body));
    expect(sent[0]).toContain('base64,AA');
    for (const body of sent.slice(1)) expect(body).toContain('[An image, which is not passed on: text only.]');
    expect([...gateway.translatedFor.values()]).toEqual([expect.stringContaining('takes no images')]);
  });

  it('is refused to the agent where the translation is refused too', async () => {
    const { url, provider, gateway } = await setUp('openai', { text: 'yes' });
    provider.always = { kind: 'status', status: 400, message: 'messages are wrong' };
    const refused = await post(url, '/v1/chat/completions', withImage);
    expect(refused.status).toBe(400);
    expect(provider.requests).toHaveLength(2);
    expect(gateway.lastCall.unanswered).toContain('messages are wrong');
  });

  it.each([
    [400, 'maximum context length is 10 tokens'],
    [401, 'no such key'],
  ])('is not asked again for what no translation mends: %i %s', async (status, message) => {
    const { url, provider } = await setUp('openai', { text: 'yes' });
    provider.always = { kind: 'status', status, message };
    await post(url, '/v1/chat/completions', withImage);
    expect(provider.requests).toHaveLength(1);
  });
});

describe('what an endpoint would do in the network for an agent', () => {
  it("is left out of Anthropic's bodies: its own tools, servers of tools, files and addresses", async () => {
    const { url, provider } = await setUp('anthropic', { text: 'yes' });
    const look = { name: 'look', input_schema: { type: 'object' }, cache_control: { type: 'ephemeral' } };
    const away = 'https://attacker.example/?all';
    const answer = await post(url, '/v1/messages', {
      model: 'm',
      max_tokens: 9_000,
      speed: 'fast',
      service_tier: 'auto',
      thinking: { type: 'enabled', budget_tokens: 8_000 },
      mcp_servers: [{ type: 'url', url: away, name: 'away' }],
      container: 'container_1',
      tools: [
        look,
        { type: 'web_fetch_20250910', name: 'web_fetch' },
        { type: 'mcp_toolset', mcp_server_name: 'away' },
      ],
      tool_choice: { type: 'tool', name: 'web_fetch' },
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'url', url: away } },
            { type: 'document', source: { type: 'file', file_id: 'file_1' } },
            { type: 'tool_result', tool_use_id: 't', content: [{ type: 'image', source: { type: 'url', url: away } }] },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } },
          ],
        },
      ],
    });
    // A tool that is forced and not there is answered in the protocol's own words.
    expect(await answer.text()).toContain('web_fetch_tool_result_error');
    expect(provider.requests).toEqual([]);
    const body = { max_tokens: 9_000, thinking: { type: 'enabled', budget_tokens: 8_000 }, speed: 'fast' };
    const source = { type: 'url', url: away };
    await post(url, '/v1/messages', {
      ...body,
      mcp_servers: [{ type: 'url', url: away, name: 'away' }],
      tools: [look, { type: 'web_fetch_20250910', name: 'web_fetch' }],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source },
            { type: 'tool_result', tool_use_id: 't', content: [{ type: 'document', source }] },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA' } },
          ],
        },
      ],
    });
    const sent = asked(provider);
    expect(Object.keys(sent).toSorted()).toEqual(['max_tokens', 'messages', 'model', 'stream', 'thinking', 'tools']);
    expect(sent).toMatchObject({ max_tokens: 2_000, thinking: { budget_tokens: 1_999 }, tools: [look] });
    expect(sent['tools']).toHaveLength(1);
    expect(sent['messages']).toMatchObject([
      { content: [{ type: 'text' }, { content: [{ type: 'text' }] }, { source: { data: 'AA' } }] },
    ]);
  });

  it("is left out of OpenAI's bodies: searches, files and addresses", async () => {
    const { url, provider } = await setUp('openai', { text: 'yes' });
    const look = { type: 'function', function: { name: 'look', parameters: { type: 'object' } } };
    const grammar = { type: 'custom', custom: { name: 'patch', format: { type: 'grammar' } } };
    const url_ = 'https://attacker.example/?all';
    const given = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } };
    await post(url, '/v1/chat/completions', {
      model: 'm',
      n: 5,
      service_tier: 'priority',
      web_search_options: {},
      temperature: 0.3,
      tools: [look, grammar, { type: 'web_search_preview' }],
      tool_choice: { type: 'web_search_preview' },
      messages: [
        {
          role: 'developer',
          content: [{ type: 'image_url', image_url: { url: url_ } }, { type: 'file', file: { file_id: 'f' } }, given],
        },
      ],
    });
    const { messages, ...rest } = asked(provider);
    expect(rest).toEqual({
      model: 'model-a',
      temperature: 0.3,
      tools: [look, grammar],
      max_tokens: 2_000,
      stream: true,
      stream_options: { include_usage: true },
    });
    // The servers of others know that role by its older name.
    expect(messages).toMatchObject([{ role: 'system', content: [{ type: 'text' }, { type: 'text' }, given] }]);
    expect(JSON.stringify(messages)).not.toContain('"image_url":{"url":"https');
  });
});

describe('whatever a request has in it', () => {
  const json = fc.jsonValue({ maxDepth: 3 });
  const part = fc.oneof(
    json,
    fc.dictionary(fc.constantFrom('type', 'text', 'source', 'content', 'id', 'name', 'input', 'x'), json),
    fc.record({ type: fc.string(), payload: json }),
  );
  const message = fc.record(
    {
      role: fc.oneof(fc.constantFrom('user', 'assistant', 'system', 'tool', 'developer'), fc.string()),
      content: fc.oneof(fc.array(part, { maxLength: 4 }), json),
      tool_calls: fc.oneof(fc.array(part, { maxLength: 2 }), json),
      tool_call_id: json,
      later: json,
    },
    { requiredKeys: ['role', 'content'] },
  );
  const body = fc.record(
    {
      messages: fc.array(fc.oneof({ weight: 9, arbitrary: message }, json), { minLength: 1, maxLength: 4 }),
      model: json,
      system: fc.oneof(fc.array(part), json),
      tools: fc.oneof(fc.array(fc.oneof(part, fc.record({ type: fc.string(), name: fc.string() }))), json),
      tool_choice: json,
      thinking: json,
      max_tokens: json,
      stream: json,
      stream_options: json,
      of_a_later_version: json,
    },
    { requiredKeys: ['messages'] },
  );

  test.each(['openai', 'anthropic'] as const)(
    'is never refused by the gateway, before %s',
    async (behind) => {
      const limits = { turns: 10_000, tokens: 1e12, minutes: 10 };
      const { url } = await setUp(behind, { text: 'yes' }, { limits });
      await fc.assert(
        fc.asyncProperty(fc.constantFrom('/v1/messages', '/v1/chat/completions'), body, async (path, sent) => {
          const answer = await post(url, path, sent);
          const said = await answer.text();
          expect([answer.status, said]).toEqual([200, expect.anything()]);
        }),
        { seed: 20_261_130, numRuns: 300 },
      );
    },
    120_000,
  );
});
