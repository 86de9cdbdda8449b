/** What a task tells its planner that is cut off: what its agents have used, once, whatever they were at. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ThinkResult } from '../../../src/shared/contracts/agent.ts';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import type { HoldRequest } from '../../../src/shared/contracts/sandbox.ts';
import { type HandoffMessage, type OutcomeMessage, TaskInput } from '../../../src/shared/contracts/task.ts';
import type { Chain } from '../../../src/shared/ids.ts';
import { handoffSignal, leasedSignal, mergeOutcomeSignal } from '../../../src/shared/messages.ts';
import { DEFAULT_RUN_SETTINGS, type RunSettings } from '../../../src/shared/settings.ts';
import { runContext } from '../../support/run-context.ts';
import { temporal, type TestTemporal } from '../../support/temporal.ts';

const SHA = 'a'.repeat(40);
const MAX_OUTPUT = 1_000;
const BRIEF = { role: 'user', text: 'Do it.' } as const;
const HANDOFF = JSON.stringify({ status: 'complete', summary: 'Done.' });

const answer = (name: string, argumentsText: string): ThinkResult => ({
  message: { role: 'assistant', text: '', toolCalls: [{ id: `call-${name}`, name, arguments: argumentsText }] },
  usage: { inputTokens: 400, cachedInputTokens: 0, outputTokens: 100 },
  costUsd: 0.01,
  endpoint: 'e',
  model: 'm',
  stop: 'tool-calls',
  attempts: 1,
  durationMs: 5,
});
const BASH = answer('bash', '{"command":"true"}');
const CLOSING = answer('submit_handoff', HANDOFF);
const LONG = { inputTokens: DEFAULT_RUN_SETTINGS.compactTokens + 1, cachedInputTokens: 0, outputTokens: 100 };
const SUMMARY: ThinkResult = { ...BASH, message: { role: 'assistant', text: 'So far, so good.', toolCalls: [] } };
const ONE_TURN = { turns: 1, inputTokens: 400, outputTokens: 100, costUsd: 0.01 };
const COLLECTED = { commit: SHA, filesChanged: ['a.txt'], unresolved: [] };
const CONFLICT: MergeOutcome = { kind: 'conflicted', files: ['a.txt'], tip: SHA };

/** Spans go nowhere. */
const SINKS = { exporter: { export: { fn: () => undefined } } };

/** What activities give, by the end of their workflow's id and their name, one after the other; then they hang. */
type Script = Record<string, unknown[]>;

let server: TestTemporal;
let client: Client;
let queue: string;
let ended: Promise<void>;
let workers: Worker[] = [];
const scripts = new Map<string, Script>();
const begun = new Map<string, string[]>();
let count = 0;

/** Of the task that the calling workflow is, or works for. */
const taskOf = (workflowId: string): string => /^[^/]+\/[^/]+/.exec(workflowId)?.[0] ?? workflowId;

async function untilCancelled(): Promise<never> {
  const beating = setInterval(() => Context.current().heartbeat(), 50);
  try {
    return await Context.current().cancelled;
  } finally {
    clearInterval(beating);
  }
}

async function scripted<T>(name: string): Promise<T> {
  const { workflowId } = Context.current().info.workflowExecution ?? { workflowId: '' };
  const task = taskOf(workflowId);
  const what = `${workflowId.slice(task.length)} ${name}`;
  begun.set(task, [...(begun.get(task) ?? []), what]);
  const next = scripts.get(task)?.[what]?.shift();
  return next === undefined ? await untilCancelled() : (next as T);
}

const activities = {
  async holdSandbox({ holder, epoch }: HoldRequest) {
    const { taskQueue } = Context.current().info;
    const sandbox = { id: `s-${epoch}`, epoch, queue: taskQueue };
    await scripted('holdSandbox');
    await client.workflow.getHandle(holder.workflowId).signal(leasedSignal, { sandbox, base: SHA });
    return await untilCancelled();
  },
  async enqueueMerge({ entry, handoff }: { entry: { id: string; requester: Chain }; handoff?: HandoffNews }) {
    if (handoff !== undefined) {
      await client.workflow.getHandle(handoff.parent.workflowId).signal(handoffSignal, handoff.message);
    }
    const outcome = await scripted<MergeOutcome>('enqueueMerge');
    const task = client.workflow.getHandle(entry.requester.workflowId);
    await task.signal(mergeOutcomeSignal, { id: entry.id, outcome });
  },
  briefAndThink: () => scripted('briefAndThink'),
  actAndThink: () => scripted('actAndThink'),
  act: () => scripted('act'),
  think: () => scripted('think'),
  collectWork: () => scripted('collectWork'),
};
type HandoffNews = { parent: Chain; message: HandoffMessage };

beforeAll(async () => {
  server = await temporal();
  client = await server.client();
  queue = server.uniqueQueue();
  const connection = await server.workerConnection();
  const common = { connection, activities, maxHeartbeatThrottleInterval: 50, defaultHeartbeatThrottleInterval: 50 };
  workers = [
    await Worker.create({ ...common, taskQueue: queue, workflowBundle: await server.workflowBundle(), sinks: SINKS }),
    await Worker.create({ ...common, taskQueue: `${queue}-sandbox` }),
    await Worker.create({ ...common, taskQueue: `${queue}-sandbox-reserved` }),
  ];
  ended = Promise.all(workers.map((worker) => worker.run())).then(() => undefined);
}, 60_000);

afterAll(async () => {
  for (const worker of workers) worker.shutdown();
  await ended;
}, 60_000);

/** A task of a planner that is there and does nothing, so that its history keeps what it is told. */
async function started(script: Script, settings: Partial<RunSettings> = {}) {
  const run = `cancelled-${process.pid}-${Date.now()}-${++count}`;
  const planner = await client.workflow.start('planner', {
    workflowId: run,
    taskQueue: `${queue}-nobody`,
    args: [{ repo: '/x', spec: 'S' }],
  });
  const parent = { workflowId: run, firstRunId: planner.firstExecutionRunId };
  const context = runContext('/x', SHA, {
    root: parent,
    settings: { ...DEFAULT_RUN_SETTINGS, maxOutputTokens: MAX_OUTPUT, ...settings },
  });
  const workflowId = `${run}/alpha.1`;
  scripts.set(workflowId, { ' holdSandbox': ['leased', 'leased'], ...script });
  const input = { run: context, task: { id: 'alpha', description: 'do it' }, attempt: 1, parent, ancestors: [parent] };
  const task = await client.workflow.start('task', {
    workflowId,
    taskQueue: queue,
    args: [TaskInput.parse(input)],
  });
  return {
    task,
    agent: client.workflow.getHandle(`${workflowId}/agent`),
    until: async (name: string, times = 1) => {
      const seen = () => (begun.get(workflowId) ?? []).filter((each) => each === name).length;
      await expect.poll(seen, { timeout: 20_000 }).toBe(times);
    },
    /** After its end: what its planner has been told. */
    async told() {
      await task.result().catch(() => undefined);
      const { events } = await planner.fetchHistory();
      await planner.terminate();
      const signals = (events ?? []).flatMap((event) => event.workflowExecutionSignaledEventAttributes ?? []);
      const said = signals.map(({ signalName, input }) => ({
        name: signalName,
        message: defaultPayloadConverter.fromPayload<unknown>(input?.payloads?.[0] ?? {}),
      }));
      const of = <T>(name: string): T[] => said.filter((each) => each.name === name).map(({ message }) => message as T);
      return { handoffs: of<HandoffMessage>('handoff'), outcomes: of<OutcomeMessage>('outcome') };
    },
    status: async () => (await task.describe()).status.name,
  };
}

describe('a task that is cancelled', () => {
  test('before its agent has begun has used nothing', async () => {
    const { task, until, told, status } = await started({ ' holdSandbox': [] });
    await until(' holdSandbox');
    await task.cancel();
    const { handoffs } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: { turns: 0 } } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
    expect(await status()).toBe('CANCELLED');
  }, 30_000);

  test('in a call tells what was used before it, and the most that the call may cost', async () => {
    const { task, agent, until, told, status } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    });
    await until('/agent actAndThink');
    await task.cancel();
    const { handoffs, outcomes } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: ONE_TURN } }]);
    const { tokens = 0, usd = 0 } = handoffs[0]?.handoff.estimated ?? {};
    // What is known of its input, the longest answer, and what one tool gives at most.
    expect(tokens).toBeGreaterThan(400 + MAX_OUTPUT + 10_000);
    expect(tokens).toBeLessThan(400 + MAX_OUTPUT + 10_000 + 200);
    expect(usd).toBeCloseTo((tokens * 0.01) / 500, 6);
    expect(outcomes).toEqual([]);
    expect(await status()).toBe('CANCELLED');
    expect((await agent.describe()).status.name).toBe('CANCELLED');
  }, 30_000);

  test('while its agent only uses tools tells exactly what was used', async () => {
    const { task, until, told } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF, BRIEF, BRIEF], answer: { ...BASH, usage: LONG } }],
    });
    await until('/agent act');
    await task.cancel();
    const { handoffs } = await told();
    expect(handoffs).toMatchObject([{ handoff: { metrics: { turns: 1, inputTokens: LONG.inputTokens } } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
  }, 30_000);

  test('in its first call knows no dollars', async () => {
    const { task, until, told } = await started({});
    await until('/agent briefAndThink');
    await task.cancel();
    const { handoffs } = await told();
    expect(Object.keys(handoffs[0]?.handoff.estimated ?? {})).toEqual(['tokens']);
  }, 30_000);

  test('tells what its agent used in all of its runs', async () => {
    const { task, until, told } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF, BRIEF, BRIEF], answer: { ...BASH, usage: LONG } }],
      '/agent act': [{ results: [{ callId: 'call-bash', name: 'bash', status: 'ok', output: 'x' }] }],
      '/agent think': [SUMMARY],
    });
    // The summary, and the first call of the next run.
    await until('/agent think', 2);
    await task.cancel();
    const { handoffs } = await told();
    const metrics = { turns: 2, inputTokens: LONG.inputTokens + 400, costUsd: 0.02 };
    expect(handoffs).toMatchObject([{ handoff: { status: 'failed', metrics } }]);
    expect(handoffs[0]?.handoff.estimated?.tokens).toBeGreaterThan(MAX_OUTPUT);
  }, 30_000);

  test('while its work is collected tells exactly what was used', async () => {
    const { task, until, told } = await started({ '/agent briefAndThink': [{ messages: [BRIEF], answer: CLOSING }] });
    await until(' collectWork');
    await task.cancel();
    const { handoffs } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: ONE_TURN } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
  }, 30_000);

  test('while an agent resolves a conflict tells what that one used apart', async () => {
    const { task, until, told } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF], answer: CLOSING }],
      ' collectWork': [COLLECTED],
      ' enqueueMerge': [CONFLICT],
      '/conflict.1 briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    });
    await until('/conflict.1 actAndThink');
    await task.cancel();
    const { handoffs, outcomes } = await told();
    // With its request, and again at its end: its planner takes it once.
    expect(new Set(handoffs.map(({ id }) => id)).size).toBe(1);
    for (const { handoff } of handoffs) expect(handoff).toMatchObject({ status: 'complete', metrics: ONE_TURN });
    expect(outcomes).toMatchObject([{ outcome: { kind: 'ejected' }, conflicts: 1, conflictMetrics: ONE_TURN }]);
    expect(outcomes[0]?.conflictEstimated?.tokens).toBeGreaterThan(10_000);
  }, 30_000);
});

test('of an agent that was terminated nothing is known', async () => {
  const { agent, until, told, status } = await started({
    '/agent briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    ' collectWork': [{ ...COLLECTED, commit: undefined }],
  });
  await until('/agent actAndThink');
  await agent.terminate();
  const { handoffs } = await told();
  expect(handoffs).toMatchObject([{ handoff: { status: 'failed', metrics: { turns: 0 }, estimated: {} } }]);
  expect(await status()).toBe('COMPLETED');
}, 30_000);
