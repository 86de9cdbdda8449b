import { expect, test } from 'vitest';
import { checkEndpoints } from '../../../src/activities/llm/check.ts';
import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import { createTestLog } from '../../support/log.ts';
import { endpointTo, KEY, useLlmServers } from './support.ts';

const serve = useLlmServers();

const check = (endpoints: Endpoint[], timeoutMs = 2_000) =>
  checkEndpoints(endpoints, { log: createTestLog(), timeoutMs });

async function refusal(endpoints: Endpoint[], timeoutMs = 2_000): Promise<string> {
  const error: unknown = await check(endpoints, timeoutMs).then(
    () => null,
    (e: unknown) => e,
  );
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).not.toContain(KEY);
  return (error as Error).message;
}

test('a key and a model that are right pass, and nothing is said', async () => {
  const server = await serve({ apiKey: KEY });
  expect(await check([endpointTo(server, 'openai'), endpointTo(server, 'anthropic')])).toEqual({
    warnings: [],
    unreachable: new Set(),
  });
});

test.each(['openai', 'anthropic'] as const)('%s: a wrong key is said with endpoint and variable', async (protocol) => {
  const server = await serve({ apiKey: 'another' });
  const message = await refusal([endpointTo(server, protocol)]);
  expect(message).toContain(`"${protocol}"`);
  expect(message).toContain('TEST_KEY');
});

test.each(['openai', 'anthropic'] as const)('%s: an unknown model stops with the list of models', async (protocol) => {
  const server = await serve({ models: ['big', 'small'] });
  const message = await refusal([endpointTo(server, protocol, { models: { default: 'middle' } })]);
  expect(message).toMatch(/no model "middle" \(TEST_MODEL\)\. It offers: big, small\./);
});

test('a missing model stops with the list of models and the setting', async () => {
  const server = await serve({ models: ['big', 'small'] });
  expect(await refusal([endpointTo(server, 'openai', { models: {} })])).toMatch(
    /set TEST_MODEL\. It offers: big, small/,
  );
});

test.each(['openai', 'anthropic'] as const)('%s: an alias that no list has is known by name', async (protocol) => {
  const server = await serve({ models: ['big-2026'], aliases: ['big-latest'] });
  expect(await check([endpointTo(server, protocol, { models: { default: 'big-latest' } })])).toEqual({
    warnings: [],
    unreachable: new Set(),
  });
});

test.each([
  ['no list of models', null],
  ['an empty one', []],
])('an endpoint with %s is asked for one token of each model', async (_, models) => {
  const server = await serve({ models, answer: () => ({ text: 'Yes', finish: 'length' }) });
  const endpoint = endpointTo(server, 'openai', { models: { planner: 'model-b', default: 'model-a' } });
  expect(await check([endpoint])).toEqual({ warnings: [], unreachable: new Set() });
  expect(server.requests.map(({ model, body }) => [model, body['max_tokens']])).toEqual([
    ['model-b', 1],
    ['model-a', 1],
  ]);
});

test('without a list of models a call finds out what is wrong, or says that it could not', async () => {
  const server = await serve({ models: null });
  server.always = { kind: 'status', status: 404, message: 'The model model-a does not exist' };
  expect(await refusal([endpointTo(server, 'openai')])).toMatch(/refuses "model-a" \(TEST_MODEL\).*no list of models/);
  server.always = { kind: 'status', status: 400, message: 'max_tokens must be at least 16' };
  const { warnings } = await check([endpointTo(server, 'openai')]);
  expect(warnings).toEqual([expect.stringMatching(/no list of models.*at least 16/)]);
});

test('a role that no endpoint has a model for is named', async () => {
  const server = await serve();
  expect(await refusal([endpointTo(server, 'openai', { models: { worker: 'model-a' } })])).toContain(
    'planner, conflict',
  );
});

test('a web page is no endpoint', async () => {
  const server = await serve();
  server.always = { kind: 'html' };
  expect(await refusal([endpointTo(server, 'openai')])).toContain('Is its base URL right?');
});

test('an endpoint that is away is a warning while another works; when none does, agents wait', async () => {
  const works = await serve();
  const gone = await serve();
  await gone.close();
  const away = endpointTo(gone, 'openai', { name: 'away' });
  const { warnings, unreachable } = await check([away, endpointTo(works, 'anthropic')]);
  expect(warnings).toEqual([expect.stringContaining('"away"')]);
  expect(unreachable).toEqual(new Set(['away']));
  const waited = await check([away]);
  expect(waited.unreachable).toEqual(new Set(['away']));
  expect(waited.warnings).toEqual([
    expect.stringMatching(/^No LLM endpoint can be reached: agents wait until one is back/),
    expect.stringMatching(/"away".*ECONNREFUSED/),
  ]);
});

test('a silent endpoint holds nobody up for longer than the time limit', async () => {
  const server = await serve();
  server.always = { kind: 'stall', afterEvents: 0 };
  const startedAt = Date.now();
  const { warnings } = await check([endpointTo(server, 'openai')], 400);
  expect(warnings[1]).toContain('did not answer within 0.4 s');
  expect(Date.now() - startedAt).toBeLessThan(1_500);
});
