import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ActivityCancellationDetails, CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createThinker, type LlmDeps } from '../../../src/activities/llm/think.ts';
import { createModels } from '../../../src/activities/llm/models.ts';
import type { AncestorCheck } from '../../../src/activities/support/chain-watch.ts';
import type { Message, ThinkRequest, ThinkResult } from '../../../src/shared/contracts/agent.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import { type LlmServer, startLlmServer } from '../../support/llm-server.ts';
import { createTestLog } from '../../support/log.ts';
import { endpointTo, KEY, thinkRequest } from './support.ts';

let server: LlmServer;
let folder: string;
let messages: Message[];
let standing: AncestorCheck;
let log: ReturnType<typeof createTestLog>;

beforeEach(async () => {
  server = await startLlmServer();
  folder = await mkdtemp(join(tmpdir(), 'llm-'));
  messages = [
    { role: 'system', text: 'Be brief.' },
    { role: 'user', text: 'A secret wish.' },
  ];
  standing = { kind: 'running', paused: false };
  log = createTestLog();
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const worker = (changes: Partial<LlmDeps> = {}) => ({
  think: createThinker({
    endpoints: [endpointTo(server, 'openai')],
    journalDir: join(folder, 'journal'),
    transcript: { fetch: async (_workflowId, _runId, { from, to }) => messages.slice(from, to) },
    chains: { check: async () => standing },
    config: { idleSeconds: 5, firstTokenSeconds: 60 },
    log,
    ...changes,
  }),
});

type Attempt = { env: MockActivityEnvironment; result: Promise<ThinkResult>; beats: string[] };

function attempt(activities: ReturnType<typeof worker>, changes: Partial<ThinkRequest> = {}, runId = 'run-1'): Attempt {
  const env = new MockActivityEnvironment({ workflowExecution: { workflowId: 'run/a.1/agent', runId } });
  const beats: string[] = [];
  env.on('heartbeat', (details: { status: string }) => beats.push(details.status));
  const result: Promise<ThinkResult> = env.run(activities.think, thinkRequest(changes));
  result.catch(() => undefined);
  return { env, result, beats };
}

const cancelled = (details: ConstructorParameters<typeof ActivityCancellationDetails>[0]) =>
  new ActivityCancellationDetails(details);

test('an answer comes with usage, cost, endpoint and the calls as the model wrote them', async () => {
  const toolCalls = [{ id: 'x1', name: 'bash', arguments: '{"command": not json' }];
  server.answer = () => ({ text: 'hm', toolCalls, usage: { input: 1_000, cached: 500, output: 100 } });
  const result = await attempt(worker()).result;
  expect(result).toEqual({
    message: { role: 'assistant', text: 'hm', toolCalls },
    usage: { inputTokens: 1_000, cachedInputTokens: 500, outputTokens: 100 },
    costUsd: expect.closeTo(0.00155, 9),
    endpoint: 'openai',
    model: 'model-a',
    stop: 'tool-calls',
    attempts: 1,
    durationMs: expect.any(Number),
    firstTokenMs: expect.any(Number),
    waitedMs: expect.any(Number),
  });
  expect(server.requests[0]?.idempotencyKey).toBe('run/a.1/agent/first-1/1');
});

test('calls without an id, with one that is taken, or one that providers refuse, get one', async () => {
  messages = [
    { role: 'user', text: 'go' },
    { role: 'assistant', text: '', toolCalls: [{ id: 'taken', name: 'bash', arguments: '{}' }] },
  ];
  const ids = [undefined, 'taken', 'good', 'good', 'a b', 'x'.repeat(41)];
  server.answer = () => ({ toolCalls: ids.map((id) => ({ ...(id ? { id } : {}), name: 'bash', arguments: '{}' })) });
  const { message } = await attempt(worker(), { turn: 7 }).result;
  expect(message.toolCalls.map((call) => call.id)).toEqual([
    'call_7_0',
    'call_7_1',
    'good',
    'call_7_3',
    'call_7_4',
    'call_7_5',
  ]);
});

test('usage that is not reported is estimated', async () => {
  server.answer = () => ({ text: 'x'.repeat(400), usage: null });
  const { usage, costUsd } = await attempt(worker()).result;
  expect(usage.outputTokens).toBeGreaterThanOrEqual(100);
  expect(usage.inputTokens).toBeGreaterThan(10);
  expect(costUsd).toBeGreaterThan(0);
});

test('attempts at the same time, and later ones, share one call', async () => {
  server.answer = () => ({ text: 'once', delayMs: 200 });
  const activities = worker();
  const both = await Promise.all([attempt(activities).result, attempt(activities).result]);
  const later = await attempt(activities).result;
  expect([...both, later].map((result) => result.message.text)).toEqual(['once', 'once', 'once']);
  expect(server.requests).toHaveLength(1);
});

test('the same turn with other messages is another question, also with the journal of the first', async () => {
  server.answer = () => ({ text: `answer ${server.requests.length}` });
  const activities = worker();
  const first = await attempt(activities).result;
  messages = [
    { role: 'system', text: 'Be brief.' },
    { role: 'user', text: 'Something else.' },
  ];
  const second = await attempt(activities, {}, 'run-after-a-reset').result;
  const third = await attempt(worker(), {}, 'run-after-a-reset').result;
  expect([first, second, third].map((r) => r.message.text)).toEqual(['answer 1', 'answer 2', 'answer 2']);
});

test('another process takes the answer from the journal, which holds no key', async () => {
  server.answer = () => ({ text: 'paid for' });
  const first = await attempt(worker()).result;
  expect(await attempt(worker()).result).toEqual(first);
  expect(server.requests).toHaveLength(1);
  const [file, ...others] = await readdir(join(folder, 'journal'));
  expect(others).toEqual([]);
  const kept = join(folder, 'journal', String(file));
  expect((await stat(kept)).mode & 0o777).toBe(0o600);
  const text = await readFile(kept, 'utf8');
  expect(text).toContain('paid for');
  expect(text).not.toContain(KEY);
});

test('a journalled answer that is damaged is asked for again', async () => {
  await attempt(worker()).result;
  const [file] = await readdir(join(folder, 'journal'));
  await writeFile(join(folder, 'journal', String(file)), '{"version":1,"key"');
  await attempt(worker()).result;
  expect(server.requests).toHaveLength(2);
  expect(log.lines.filter((line) => line.level === 'warn').map((line) => line.message)).toEqual([
    expect.stringContaining('cannot be read'),
  ]);
});

test('a journal that cannot be written costs no answer', async () => {
  await writeFile(join(folder, 'file'), '');
  const { message } = await attempt(worker({ journalDir: join(folder, 'file', 'journal') })).result;
  expect(message.text).toBe('hello');
  expect(log.lines.some((line) => line.message.includes('a journal cannot be written'))).toBe(true);
});

test('answers and half-written files that are older than a week are removed, other files are not', async () => {
  const journalDir = join(folder, 'journal');
  await attempt(worker()).result;
  const [old] = await readdir(journalDir);
  const partial = `${'0'.repeat(64)}.json.0b0e-11`;
  for (const name of [partial, 'notes.txt']) await writeFile(join(journalDir, name), 'x');
  const longAgo = new Date(Date.now() - 8 * 24 * 3_600_000);
  for (const name of await readdir(journalDir)) await utimes(join(journalDir, name), longAgo, longAgo);
  await attempt(worker(), { agent: { workflowId: 'another', firstRunId: 'run' } }).result;
  const left = await readdir(journalDir);
  expect(left).toHaveLength(2);
  expect(left).toContain('notes.txt');
  expect(left).not.toContain(old);
});

test('a requested cancellation ends the provider call at once', async () => {
  server.answer = () => ({ text: 'late', delayMs: 20_000 });
  const { env, result } = attempt(worker());
  await expect.poll(() => server.requests.length).toBe(1);
  env.cancel('CANCELLED', cancelled({ cancelRequested: true }));
  await expect(result).rejects.toBeInstanceOf(CancelledFailure);
  await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
});

test.each([
  ['WORKER_SHUTDOWN', { workerShutdown: true }],
  ['TIMED_OUT', { timedOut: true }],
  ['NOT_FOUND', { notFound: true }],
] as const)('%s lets a call that is on the wire end, and its answer counts', async (reason, details) => {
  server.answer = () => ({ text: 'all the same', delayMs: 400 });
  const activities = worker();
  const { env, result } = attempt(activities);
  await expect.poll(() => server.requests.length).toBe(1);
  env.cancel(reason, cancelled(details));
  const retry = attempt(activities);
  expect((await result).message.text).toBe('all the same');
  expect((await retry.result).message.text).toBe('all the same');
  expect(server.requests).toHaveLength(1);
});

test('a retry that waits for the call of an abandoned attempt can still cancel it', async () => {
  server.answer = () => ({ text: 'late', delayMs: 60_000 });
  const activities = worker({ config: { idleSeconds: 60, firstTokenSeconds: 60 } });
  const first = attempt(activities);
  await expect.poll(() => server.requests.length).toBe(1);
  first.env.cancel('TIMED_OUT', cancelled({ timedOut: true }));
  const retry = attempt(activities);
  // It has read the transcript and joined the call by then.
  await new Promise((resolve) => setTimeout(resolve, 300));
  retry.env.cancel('CANCELLED', cancelled({ cancelRequested: true }));
  await expect(retry.result).rejects.toBeInstanceOf(CancelledFailure);
  await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
  expect(server.requests).toHaveLength(1);
});

test('a worker that shuts down finishes the call that is on the wire', async () => {
  server.answer = () => ({ text: 'paid for', delayMs: 500 });
  const { env, result } = attempt(worker());
  await expect.poll(() => server.requests.length).toBe(1);
  env.cancel('WORKER_SHUTDOWN', cancelled({ workerShutdown: true }));
  expect((await result).message.text).toBe('paid for');
  expect(server.requests).toHaveLength(1);
});

test('a worker that is told to stop in an outage does not wait for its end, and finishes what is on the wire', async () => {
  const stopping = new AbortController();
  const activities = worker({ stopping: stopping.signal });
  server.answer = () => ({ text: 'paid for', delayMs: 400 });
  const onTheWire = attempt(activities);
  await expect.poll(() => server.requests.length).toBe(1);
  const gone = await startLlmServer();
  await gone.close();
  const waits = worker({ stopping: stopping.signal, endpoints: [endpointTo(gone, 'openai')] });
  const inVain = attempt(waits, { turn: 2 });
  await expect.poll(() => inVain.beats.length + log.lines.length, { timeout: 6_000 }).toBeGreaterThan(0);
  stopping.abort();
  await expect(inVain.result).rejects.toThrow('this attempt has ended');
  expect((await onTheWire.result).message.text).toBe('paid for');
  expect((await attempt(waits, { turn: 3 }).result.catch(String)) as string).toContain('this attempt has ended');
});

test('a worker that shuts down asks no second endpoint when the first one fails', async () => {
  const second = await startLlmServer();
  try {
    server.next.push({ kind: 'reset', afterEvents: 3 });
    server.answer = () => ({ text: 'a text of several chunks', delayMs: 300 });
    const endpoints = [endpointTo(server, 'openai'), endpointTo(second, 'anthropic')];
    const config = { idleSeconds: 5, firstTokenSeconds: 60 };
    const models = createModels({ endpoints, config, log, random: () => 0 });
    const { env, result } = attempt(worker({ endpoints, models }));
    await expect.poll(() => server.requests.length).toBe(1);
    env.cancel('WORKER_SHUTDOWN', cancelled({ workerShutdown: true }));
    await expect(result).rejects.toThrow('The LLM call was not made');
    expect(second.requests).toHaveLength(0);
  } finally {
    await second.close();
  }
});

test('a call for a workflow that is gone from the server is ended', async () => {
  server.answer = () => ({ text: 'late', delayMs: 20_000 });
  const { env, result } = attempt(worker());
  await expect.poll(() => server.requests.length).toBe(1);
  standing = { kind: 'orphaned', by: { workflowId: 'run', firstRunId: 'root-1' }, status: 'TERMINATED' };
  env.cancel('NOT_FOUND', cancelled({ notFound: true }));
  expect(failureTypeOf(await result.catch((e: unknown) => e))).toBe('Orphaned');
  await expect.poll(() => server.requests[0]?.outcome).toBe('client-closed');
});

test('a worker that shuts down in an outage does not wait for its end, and leaves the call to a retry', async () => {
  server.always = { kind: 'status', status: 503 };
  const activities = worker();
  const { env, result } = attempt(activities);
  await expect.poll(() => server.requests.length).toBe(1);
  env.cancel('WORKER_SHUTDOWN', cancelled({ workerShutdown: true }));
  const error = await result.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(CancelledFailure);
  expect(failureTypeOf(error)).toBeUndefined();
  server.always = null;
  expect((await attempt(activities).result).message.text).toBe('hello');
});

test('an orphan does not ask', async () => {
  standing = { kind: 'orphaned', by: { workflowId: 'run', firstRunId: 'root-1' }, status: 'TERMINATED' };
  const error = await attempt(worker()).result.catch((e: unknown) => e);
  expect(failureTypeOf(error)).toBe('Orphaned');
  expect(String(error)).toContain('run, which it was for, is TERMINATED');
  expect(server.requests).toHaveLength(0);
});

test('a paused run asks nobody until it is resumed, with heartbeats that say why', async () => {
  standing = { kind: 'running', paused: true };
  const { result, beats } = attempt(worker());
  await expect.poll(() => beats, { timeout: 5_000 }).toContain('the run is paused');
  expect(server.requests).toHaveLength(0);
  standing = { kind: 'running', paused: false };
  expect((await result).message.text).toBe('hello');
});

test('an outage of everything is waited out, with heartbeats that say for what', async () => {
  const { port } = new URL(server.origin);
  await server.close();
  const { result, beats } = attempt(worker());
  await expect
    .poll(() => beats.join(), { timeout: 8_000 })
    .toMatch(/waiting for a model since 20.*no LLM endpoint answers.*ECONNREFUSED/);
  server = await startLlmServer({ port: Number(port), answer: () => ({ text: 'back again' }) });
  const { message, attempts } = await result;
  expect(message.text).toBe('back again');
  expect(attempts).toBeGreaterThan(1);
}, 20_000);

test('a question that was refused is not asked twice, by the step that it is part of and by itself', async () => {
  server.always = { kind: 'status', status: 400, message: 'messages.2: not like that' };
  const activities = worker();
  const errors = [];
  for (let i = 0; i < 2; i++) errors.push(await attempt(activities).result.catch((e: unknown) => e));
  expect(errors.map(failureTypeOf)).toEqual(['RequestRefused', 'RequestRefused']);
  expect(String(errors[1])).toContain('not like that');
  expect(server.requests).toHaveLength(1);
  server.always = null;
  messages = [...messages, { role: 'user', text: 'Something else.' }];
  expect((await attempt(activities, { turn: 2, messageCount: 3 }).result).message.text).toBe('hello');
});

test('one line is logged for a call, without what was said and without the key', async () => {
  server.answer = () => ({ text: 'A secret answer.' });
  await attempt(worker()).result;
  expect(log.lines).toHaveLength(1);
  expect(log.lines[0]).toMatchObject({
    level: 'info',
    message: 'LLM call',
    fields: { workflowId: 'run/a.1/agent', turn: 1, role: 'worker', endpoint: 'openai', inputTokens: 100, attempts: 1 },
  });
  expect(JSON.stringify(log.lines)).not.toMatch(/secret/);
  expect(JSON.stringify(log.lines)).not.toContain(KEY);
});

test('a tool that does not exist is an error of ours, and nobody is asked', async () => {
  const error = await attempt(worker(), { tools: ['bash', 'fly'] }).result.catch((e: unknown) => e);
  expect(failureTypeOf(error)).toBe('Invariant');
  expect(server.requests).toHaveLength(0);
});
