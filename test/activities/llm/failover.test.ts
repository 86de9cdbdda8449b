import { afterEach, expect, test } from 'vitest';
import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import { completeSomewhere, type FailoverRequest } from '../../../src/activities/llm/failover.ts';
import { createProvider } from '../../../src/activities/llm/providers/create.ts';
import { Router } from '../../../src/activities/llm/router.ts';
import { failureTypeOf } from '../../../src/shared/failures.ts';
import { type LlmServer, type LlmServerOptions, startLlmServer } from '../../support/llm-server.ts';
import { createTestLog } from '../../support/log.ts';
import { completionRequest, endpointTo, KEY } from './support.ts';

const servers: LlmServer[] = [];
async function serve(options: LlmServerOptions = {}): Promise<LlmServer> {
  const server = await startLlmServer(options);
  servers.push(server);
  return server;
}
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

function setUp(endpoints: Endpoint[]) {
  const deps = {
    router: new Router(endpoints),
    providers: new Map(endpoints.map((endpoint) => [endpoint, createProvider(endpoint)])),
    log: createTestLog(),
  };
  const slept: number[] = [];
  const request = (changes: Partial<FailoverRequest> = {}): FailoverRequest => ({
    ...completionRequest(),
    role: 'worker',
    conversation: 'c',
    gate: async () => undefined,
    // Time is the caller's: the tests do not wait.
    sleep: async (ms) => void slept.push(Math.round(ms)),
    ...changes,
  });
  return {
    ask: (changes?: Partial<FailoverRequest>) => completeSomewhere(request(changes), deps),
    slept,
    log: deps.log,
  };
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (e: unknown) => e,
  );

test.each<[string, Parameters<LlmServer['next']['push']>[0]]>([
  ['overloaded', { kind: 'status', status: 529 }],
  ['rate-limited', { kind: 'status', status: 429, headers: { 'retry-after': '60' } }],
  ['broken in mid-stream', { kind: 'reset', afterEvents: 3 }],
  ['silent', { kind: 'stall', afterEvents: 1 }],
  ['answering rubbish', { kind: 'not-json' }],
  ['answering a web page', { kind: 'html' }],
  ['refusing the key', { kind: 'status', status: 401 }],
])('when one endpoint is %s the next one answers, of the other protocol, at once', async (_, fault) => {
  const [a, b] = [await serve(), await serve({ answer: () => ({ text: 'from b' }) })];
  a.always = fault;
  const { ask, slept } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const answered = await ask({ idleMs: 300 });
  expect(answered).toMatchObject({ completion: { text: 'from b' }, endpoint: { name: 'anthropic' }, attempts: 2 });
  expect([a.requests.length, b.requests.length, slept]).toEqual([1, 1, []]);
});

test('the half of an answer that broke off is nowhere in the whole one', async () => {
  const server = await serve({ answer: () => ({ text: 'one two three four five', chunkSize: 4 }) });
  server.next.push({ kind: 'reset', afterEvents: 4 });
  const { ask } = setUp([endpointTo(server, 'openai')]);
  expect(await ask()).toMatchObject({ completion: { text: 'one two three four five' }, attempts: 2 });
});

test('a conversation goes back to nobody: it stays with the endpoint that answered', async () => {
  const [a, b] = [await serve(), await serve()];
  const { ask } = setUp([endpointTo(a, 'openai', { name: 'a' }), endpointTo(b, 'openai', { name: 'b' })]);
  a.next.push({ kind: 'status', status: 500 });
  const asked = [await ask(), await ask(), await ask({ conversation: 'another' })];
  expect(asked.map((answered) => answered.endpoint.name)).toEqual(['b', 'b', 'b']);
  expect((await ask()).attempts).toBe(1);
});

test('an outage of all is waited out with 2 s, 4 s, up to 30 s between the rounds', async () => {
  const [a, b] = [await serve(), await serve()];
  for (const server of [a, b]) server.always = { kind: 'status', status: 503 };
  const { ask, slept } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const sleep = async (ms: number): Promise<void> => {
    slept.push(ms);
    if (slept.length === 7) a.always = null;
  };
  expect(await ask({ sleep })).toMatchObject({ endpoint: { name: 'openai' } });
  for (const [i, nominal] of [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000].entries()) {
    expect(slept[i]).toBeGreaterThanOrEqual(nominal * 0.8);
    expect(slept[i]).toBeLessThanOrEqual(nominal * 1.2);
  }
});

test('Retry-After of the only endpoint is what is waited', async () => {
  const server = await serve();
  server.next.push({ kind: 'status', status: 429, headers: { 'retry-after': '1' } });
  const waits: number[] = [];
  const { ask } = setUp([endpointTo(server, 'openai')]);
  const sleep = async (ms: number): Promise<void> => {
    waits.push(ms);
    await new Promise((resolve) => setTimeout(resolve, ms));
  };
  expect(await ask({ sleep })).toMatchObject({ attempts: 2 });
  expect(waits).toEqual([expect.toSatisfy((ms: number) => ms > 900 && ms <= 1_000)]);
});

test('when all have refused, their words are said with where to look, and no key', async () => {
  const [a, b] = [await serve({ apiKey: 'another' }), await serve({ models: ['x'] })];
  const { ask, log } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const error = await errorOf(ask());
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).toMatch(/openai \(model-a\): 401 Incorrect API key.*see TEST_KEY, TEST_MODEL/);
  expect(String(error)).toMatch(/anthropic \(model-a\): 404.*model-a does not exist/);
  expect([a.requests.length, b.requests.length]).toEqual([0, 1]);
  expect(JSON.stringify([log.lines, String((error as Error).stack)])).not.toContain(KEY);
});

test('an endpoint that has refused this call is not waited for, one that is down is', async () => {
  const [a, b] = [await serve({ apiKey: 'another' }), await serve()];
  b.next.push({ kind: 'status', status: 503 }, { kind: 'status', status: 503 });
  const { ask, slept } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  expect(await ask()).toMatchObject({ endpoint: { name: 'anthropic' }, attempts: 4 });
  expect(slept).toHaveLength(2);
});

test('an endpoint that answers rubbish six times has refused the call', async () => {
  const server = await serve();
  server.always = { kind: 'html' };
  const { ask, slept } = setUp([endpointTo(server, 'openai')]);
  const error = await errorOf(ask());
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).toContain('answered text/html');
  expect([server.requests.length, slept.length]).toEqual([6, 5]);
});

test('nobody is asked when the gate is shut, and the gate is asked before each request', async () => {
  const server = await serve();
  server.always = { kind: 'status', status: 503 };
  const { ask } = setUp([endpointTo(server, 'openai')]);
  let opened = 0;
  const gate = async (): Promise<void> => {
    if (++opened === 3) throw new Error('no longer wanted');
  };
  await expect(ask({ gate })).rejects.toThrow('no longer wanted');
  expect(server.requests).toHaveLength(2);
});

test('a role that no endpoint serves is said as such', async () => {
  const server = await serve();
  const { ask } = setUp([endpointTo(server, 'openai', { models: { worker: 'model-a' } })]);
  const error = await errorOf(ask({ role: 'planner' }));
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).toContain('"planner"');
});
