/** What goes wrong in life, one by one, and what becomes of the call: over both protocols, with a second endpoint. */
import { afterEach, describe, expect, test } from 'vitest';
import { createModels, type ModelRequest } from '../../../src/activities/llm/models.ts';
import { toolDefinitions } from '../../../src/activities/llm/providers/tools.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import { type Fault, type LlmServer, type ScriptedAnswer, startLlmServer } from '../../support/llm-server.ts';
import { createTestLog } from '../../support/log.ts';
import { endpointTo } from './support.ts';

const servers: LlmServer[] = [];
async function serve(answer: () => ScriptedAnswer): Promise<LlmServer> {
  const server = await startLlmServer({ answer });
  servers.push(server);
  return server;
}
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const WHOLE = 'one two three four five six seven eight nine ten';
const LIMITS = { idleSeconds: 0.4, firstTokenSeconds: 1 };

type Protocol = 'openai' | 'anthropic';

/** Two endpoints: the first is asked first, and misbehaves. */
async function setUp(protocol: Protocol, answer: ScriptedAnswer = { text: WHOLE }) {
  const [first, second] = [await serve(() => answer), await serve(() => ({ text: WHOLE }))];
  const endpoints = [
    endpointTo(first, protocol, { name: 'first' }),
    endpointTo(second, protocol, { name: 'second', models: { default: 'model-b' } }),
  ];
  const models = createModels({ endpoints, config: LIMITS, log: createTestLog(), random: () => 0 });
  const request: ModelRequest = {
    role: 'worker',
    run: { workflowId: 'run', firstRunId: 'root-1' },
    conversation: 'c',
    messages: [{ role: 'user', text: 'Count.' }],
    tools: toolDefinitions(['bash']),
    maxOutputTokens: 1_000,
    idempotencyKey: 'k/1',
    signal: new AbortController().signal,
    abandoned: new AbortController().signal,
    gate: () => Promise.resolve(),
  };
  return { first, second, models, ask: () => models.complete(request) };
}

const keysOf = (...list: LlmServer[]) => list.flatMap(({ requests }) => requests.map((each) => each.idempotencyKey));

describe.each<Protocol>(['openai', 'anthropic'])('%s', (protocol) => {
  const status = (code: number, message?: string): Fault => ({
    kind: 'status',
    status: code,
    ...(message === undefined ? {} : { message }),
  });

  test.each<[string, Fault]>([
    ...[401, 402, 403, 404, 405, 408, 409, 425, 429, 500, 501, 502, 503, 504, 520, 529].map((code): [string, Fault] => [
      `status ${code}`,
      status(code),
    ]),
    ['a redirect to nowhere', status(304)],
    ['a wrong model', status(404, 'The model model-a does not exist')],
    ['a wrong model that is said with 400', status(400, 'model-a is not a valid model ID')],
    ['a reset before the headers', { kind: 'reset', afterEvents: 0 }],
    ['a reset after the headers', { kind: 'reset', afterEvents: 1 }],
    ['a reset in mid-stream', { kind: 'reset', afterEvents: 5 }],
    ['no headers', { kind: 'stall', afterEvents: 0 }],
    ['silence after the headers', { kind: 'stall', afterEvents: 1 }],
    ['silence in mid-stream', { kind: 'stall', afterEvents: 5 }],
    ['life signs, but no first token', { kind: 'keep-alive', afterEvents: 1 }],
    ['life signs, but no more tokens', { kind: 'keep-alive', afterEvents: 5 }],
    ['an end before the end', { kind: 'truncate', afterEvents: 5 }],
    ['an empty body', { kind: 'truncate', afterEvents: 0 }],
    ['malformed SSE', { kind: 'not-json' }],
    ['events of another protocol', { kind: 'wrong-shape' }],
    ['a refusal of this call', status(400, 'temperature must be below 2')],
    ['another one', status(422, 'tools.0.name is too long by far')],
    ['one in the stream', { kind: 'error-event', type: 'invalid_request_error', message: 'messages.1: bad' }],
    ['an error event', { kind: 'error-event', type: 'api_error', message: 'Internal server error' }],
    ['an overload in the stream', { kind: 'error-event', type: 'overloaded_error', message: 'Overloaded' }],
    ['a web page', { kind: 'html' }],
  ])('%s: the whole answer comes from the other endpoint, with the same key, and only it is paid', async (_, fault) => {
    const { first, second, ask, models } = await setUp(protocol);
    first.next.push(fault);
    const answered = await ask();
    expect(answered).toMatchObject({ completion: { text: WHOLE }, endpoint: { name: 'second' }, attempts: 2 });
    expect(keysOf(first, second)).toEqual(['k/1', 'k/1']);
    const totals = models.router.look().contenders.map(({ state }) => state.totals);
    expect(totals).toMatchObject([
      { requests: 1, answered: 0, failed: 1, outputTokens: 0, costUsd: 0 },
      { requests: 1, answered: 1, failed: 0, outputTokens: 20 },
    ]);
    expect(models.router.look().contenders.map(({ state }) => state.inFlight)).toEqual([0, 0]);
  });

  test.each<[string, Fault, string]>([
    ['a context that is too long', status(400, 'prompt is too long: 9 tokens > 8 maximum'), 'ContextTooLong'],
    ['413', status(413), 'ContextTooLong'],
    [
      'the same in the stream',
      { kind: 'error-event', type: 'invalid_request_error', message: 'prompt is too long: 9 tokens > 8 maximum' },
      'ContextTooLong',
    ],
  ])('%s: fails at once as what it is, and nobody else is asked', async (_, fault, type) => {
    const { first, second, ask, models } = await setUp(protocol);
    first.next.push(fault);
    const error: unknown = await ask().catch((e: unknown) => e);
    expect(failureTypeOf(error)).toBe(type);
    expect(String(error)).toContain(
      fault.kind === 'status' || fault.kind === 'error-event' ? (fault.message ?? '') : '',
    );
    expect([first.requests.length, second.requests.length]).toEqual([1, 0]);
    expect(models.router.look().contenders.map(({ state }) => state.health)).toEqual([
      { kind: 'up', failures: 0 },
      { kind: 'up', failures: 0 },
    ]);
  });

  const call = (name: string, text: string) => ({ toolCalls: [{ id: 'c1', name, arguments: text }] });
  test.each<[string, ScriptedAnswer, object]>([
    ['slow headers within the limit', { text: WHOLE, delayMs: 250 }, { text: WHOLE, stop: 'end' }],
    ['a slow body within the limit', { text: WHOLE, chunkDelayMs: 150 }, { text: WHOLE, stop: 'end' }],
    ['an empty reply', {}, { text: '', toolCalls: [], stop: 'end' }],
    [
      'truncated JSON arguments',
      { ...call('bash', '{"command": "ls -'), finish: 'length' },
      { toolCalls: [{ id: 'c1', name: 'bash', arguments: '{"command": "ls -' }], stop: 'length' },
    ],
    [
      'an unknown tool',
      call('launch_missiles', '{}'),
      { toolCalls: [{ id: 'c1', name: 'launch_missiles', arguments: '{}' }], stop: 'tool-calls' },
    ],
    ['a long reply', { text: 'z'.repeat(400_000), chunkSize: 40_000 }, { text: 'z'.repeat(400_000), stop: 'end' }],
  ])('%s: is an answer, taken as it is, for the loop to judge', async (_, answer, expected) => {
    const { first, second, ask } = await setUp(protocol, answer);
    expect((await ask()).completion).toMatchObject(expected);
    expect([first.requests.length, second.requests.length]).toEqual([1, 0]);
  });

  test('a reply that is too long for any history fails for good, and is not asked for again', async () => {
    const { first, second, ask } = await setUp(protocol, { text: 'z'.repeat(1_600_000), chunkSize: 50_000 });
    expect(failureTypeOf(await ask().catch((e: unknown) => e))).toBe('AnswerTooLarge');
    expect([first.requests.length, second.requests.length]).toEqual([1, 0]);
  });
});
