import { expect, test } from 'vitest';
import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import { completeSomewhere, type FailoverRequest } from '../../../src/activities/llm/failover.ts';
import { createProvider } from '../../../src/activities/llm/providers/create.ts';
import { Router } from '../../../src/activities/llm/router/router.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import type { LlmServer } from '../../support/llm-server.ts';
import { createTestLog } from '../../support/log.ts';
import { completionRequest, endpointTo, KEY, ManualClock, useLlmServers } from './support.ts';

const serve = useLlmServers();

/** Whatever a call waits for comes at once: the clock goes on by as much. */
function setUp(endpoints: Endpoint[]) {
  const clock = new ManualClock();
  const begun = clock.now();
  const log = createTestLog();
  const deps = {
    router: new Router({ endpoints, clock, random: () => 0 }),
    providers: new Map(endpoints.map((endpoint) => [endpoint, createProvider(endpoint)])),
    log,
    random: () => 0.5,
  };
  /** When each request was sent, in ms since the beginning. */
  const asked: number[] = [];
  const reasons: string[] = [];
  const request = (changes: Partial<FailoverRequest>): FailoverRequest => ({
    ...completionRequest(),
    role: 'worker',
    conversation: 'c',
    estimatedTokens: 0,
    abandoned: new AbortController().signal,
    gate: async () => undefined,
    onWaiting(waiting) {
      if (waiting === undefined) asked.push(clock.now() - begun);
      else {
        reasons.push(waiting.why);
        setImmediate(() => clock.advance(Math.max(0, waiting.until - clock.now())));
      }
    },
    ...changes,
  });
  const tokens = { inputTokens: 1, cachedInputTokens: 0, cacheWriteInputTokens: 0, outputTokens: 1 };
  return {
    async ask(changes: Partial<FailoverRequest> = {}) {
      const answered = await completeSomewhere(request(changes), deps);
      answered.lease.end({ kind: 'answered', firstTokenMs: 1, tokens, countedTokens: 2, costUsd: 0 });
      return answered;
    },
    asked,
    reasons,
    clock,
    log,
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
  ['without the model', { kind: 'status', status: 404 }],
  ['unpaid, and says so with 400', { kind: 'status', status: 400, message: 'Your credit balance is too low' }],
])('when one endpoint is %s the next one answers, of the other protocol, at once', async (_, fault) => {
  const [a, b] = [await serve(), await serve({ answer: () => ({ text: 'from b' }) })];
  a.always = fault;
  const { ask, asked } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const answered = await ask({ idleMs: 300 });
  expect(answered).toMatchObject({ completion: { text: 'from b' }, endpoint: { name: 'anthropic' }, attempts: 2 });
  expect([a.requests.length, b.requests.length, asked]).toEqual([1, 1, [0, 0]]);
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
  const asked = [await ask(), await ask(), await ask()];
  expect(asked.map((answered) => answered.endpoint.name)).toEqual(['b', 'b', 'b']);
  expect((await ask()).attempts).toBe(1);
});

test('an outage of the only endpoint is waited out with 2 s, 4 s, up to 30 s between the requests', async () => {
  const server = await serve();
  server.next.push(...Array.from({ length: 7 }, () => ({ kind: 'status', status: 503 }) as const));
  const { ask, asked, reasons } = setUp([endpointTo(server, 'openai')]);
  expect(await ask()).toMatchObject({ attempts: 8 });
  const gaps = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
  expect(gaps).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(new Set(reasons)).toEqual(new Set(['backoff', 'outage']));
});

test('Retry-After of the only endpoint is what is waited', async () => {
  const server = await serve();
  server.next.push({ kind: 'status', status: 429, headers: { 'retry-after': '7' } });
  const { ask, asked, reasons } = setUp([endpointTo(server, 'openai')]);
  expect(await ask()).toMatchObject({ attempts: 2 });
  expect([asked, new Set(reasons)]).toEqual([[0, 7_000], new Set(['throttled'])]);
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

test('what an endpoint has refused is not asked again by the next call: it hears the same words', async () => {
  const server = await serve({ models: ['x'] });
  const { ask } = setUp([endpointTo(server, 'openai')]);
  const errors = [await errorOf(ask()), await errorOf(ask({ conversation: 'another' }))];
  expect(errors.map(failureTypeOf)).toEqual(['ModelUnusable', 'ModelUnusable']);
  for (const error of errors) expect(String(error)).toContain('model-a does not exist');
  expect(server.requests).toHaveLength(1);
});

test('an endpoint that has refused this call is not waited for, one that is down is', async () => {
  const [a, b] = [await serve({ apiKey: 'another' }), await serve()];
  b.next.push({ kind: 'status', status: 503 }, { kind: 'status', status: 503 });
  const { ask, asked } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  expect(await ask()).toMatchObject({ endpoint: { name: 'anthropic' }, attempts: 4 });
  expect(asked).toEqual([0, 0, 2_000, 6_000]);
});

test('an endpoint that answers rubbish six times has refused the call', async () => {
  const server = await serve();
  server.always = { kind: 'html' };
  const { ask } = setUp([endpointTo(server, 'openai')]);
  const error = await errorOf(ask());
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).toContain('answered text/html');
  expect(server.requests).toHaveLength(6);
});

test('a request that one endpoint refuses is asked elsewhere, and fails in the words of all when all refuse it', async () => {
  const [a, b] = [await serve(), await serve()];
  a.always = { kind: 'status', status: 400, message: 'temperature must be below 2' };
  const { ask } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  expect(await ask()).toMatchObject({ endpoint: { name: 'anthropic' }, attempts: 2 });
  b.always = { kind: 'status', status: 422, message: 'temperature must not be above 2' };
  const error = await errorOf(ask({ conversation: 'another' }));
  expect(failureTypeOf(error)).toBe('RequestRefused');
  expect(String(error)).toMatch(/openai \(model-a\): 400 temperature must be below 2/);
  expect(String(error)).toMatch(/anthropic \(model-a\): 422 temperature must not be above 2/);
  expect([a.requests.length, b.requests.length]).toEqual([2, 2]);
});

test('a conversation that is refused keeps no endpoint from any other conversation', async () => {
  const server = await serve();
  const message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.";
  server.next.push({ kind: 'status', status: 400, message });
  const { ask, asked } = setUp([endpointTo(server, 'openai')]);
  expect(failureTypeOf(await errorOf(ask({ conversation: 'refused' })))).toBe('RequestRefused');
  expect(await ask({ conversation: 'innocent' })).toMatchObject({ attempts: 1 });
  expect(asked).toEqual([0, 0]);
});

test('one that refuses the call and one that refuses its key: the call is refused, and both are named', async () => {
  const [a, b] = [await serve(), await serve({ apiKey: 'another' })];
  a.always = { kind: 'status', status: 400, message: 'messages.2: not like that' };
  const { ask } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const error = await errorOf(ask());
  expect(failureTypeOf(error)).toBe('RequestRefused');
  expect(String(error)).toMatch(/messages\.2: not like that[\s\S]*401/);
});

test('a call that is refused where somebody answers waits two minutes for those that are down, and no longer', async () => {
  const [a, b] = [await serve(), await serve()];
  a.always = { kind: 'status', status: 400, message: 'messages.2: not like that' };
  b.always = { kind: 'status', status: 503 };
  const { ask, clock } = setUp([endpointTo(a, 'openai'), endpointTo(b, 'anthropic')]);
  const begun = clock.now();
  // What it waits for comes in steps, so that it looks about on the way.
  const passing = setInterval(() => clock.advance(5_000), 1);
  const error = await errorOf(ask({ onWaiting: () => undefined })).finally(() => clearInterval(passing));
  expect(failureTypeOf(error)).toBe('RequestRefused');
  expect(String(error)).toContain('messages.2: not like that');
  expect(clock.now() - begun).toBeGreaterThanOrEqual(120_000);
  expect(a.requests).toHaveLength(1);
  expect(b.requests.length).toBeGreaterThan(2);
});

test('a conversation that is too long for the model is its own failure, and nobody else is asked', async () => {
  const [a, b] = [await serve(), await serve()];
  const message = 'prompt is too long: 210000 tokens > 200000 maximum';
  a.next.push({ kind: 'status', status: 400, message });
  const { ask } = setUp([endpointTo(a, 'anthropic'), endpointTo(b, 'openai')]);
  const error = await errorOf(ask());
  expect(failureTypeOf(error)).toBe('ContextTooLong');
  expect(String(error)).toContain(message);
  expect([a.requests.length, b.requests.length]).toEqual([1, 0]);
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

test('a call that waits in an outage looks every 10 s whether it is still wanted', async () => {
  const server = await serve();
  server.always = { kind: 'status', status: 503 };
  const { ask, clock } = setUp([endpointTo(server, 'openai')]);
  let waiting = false;
  const passing = setInterval(() => waiting && clock.advance(2_500), 1);
  const gates: number[] = [];
  const gate = async (): Promise<void> => {
    gates.push(server.requests.length);
    if (server.requests.length === 6) throw new Error('no longer wanted');
  };
  const onWaiting = (what: unknown): void => {
    waiting = what !== undefined;
  };
  await expect(ask({ gate, onWaiting })).rejects.toThrow('no longer wanted');
  clearInterval(passing);
  // After the fifth failure it waits for 30 s.
  expect(gates.filter((requests) => requests === 5).length).toBeGreaterThanOrEqual(3);
});

test('a call whose waiters have gone stops waiting, one that is on the wire is finished', async () => {
  const server = await serve({ answer: () => ({ text: 'finished', delayMs: 200 }) });
  const { ask } = setUp([endpointTo(server, 'openai')]);
  const abandoned = new AbortController();
  const pending = ask({ abandoned: abandoned.signal });
  await expect.poll(() => server.requests.length).toBe(1);
  abandoned.abort(new Error('nobody waits'));
  expect(await pending).toMatchObject({ completion: { text: 'finished' } });
  await expect(ask({ abandoned: abandoned.signal })).rejects.toThrow('nobody waits');
  expect(server.requests).toHaveLength(1);
});

test('a role that no endpoint serves is said as such', async () => {
  const server = await serve();
  const { ask } = setUp([endpointTo(server, 'openai', { models: { worker: 'model-a' } })]);
  const error = await errorOf(ask({ role: 'planner' }));
  expect(failureTypeOf(error)).toBe('ModelUnusable');
  expect(String(error)).toContain('"planner"');
});
