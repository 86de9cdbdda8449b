/** A task by itself on a real server: its activities are played from a script, save those that are under test. */
import { Context } from '@temporalio/activity';
import { defaultPayloadConverter } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { expect } from 'vitest';
import { enqueue, handOff } from '../../../src/activities/merge-queue/enqueue.ts';
import type { ThinkResult } from '../../../src/shared/contracts/agent.ts';
import type { EnqueueRequest, HandOffRequest } from '../../../src/shared/contracts/activities.ts';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import type { CollectRequest, HoldRequest } from '../../../src/shared/contracts/sandbox.ts';
import { type HandoffMessage, type OutcomeMessage, TaskInput } from '../../../src/shared/contracts/task.ts';
import { mergeQueueWorkflowId } from '../../../src/shared/base/ids.ts';
import { leasedSignal, mergeOutcomeSignal } from '../../../src/shared/messages.ts';
import { DEFAULT_RUN_SETTINGS, type RunSettings } from '../../../src/shared/contracts/run-settings.ts';
import { createTestLog } from '../../support/log.ts';
import { runContext } from '../../support/run-context.ts';
import { temporal } from '../../support/temporal.ts';

export const SHA = 'a'.repeat(40);
export const MAX_OUTPUT = 1_000;
export const BRIEF = { role: 'user', text: 'Do it.' } as const;

export const answer = (name: string, argumentsText: string): ThinkResult => ({
  message: { role: 'assistant', text: '', toolCalls: [{ id: `call-${name}`, name, arguments: argumentsText }] },
  usage: { inputTokens: 400, cachedInputTokens: 0, outputTokens: 100 },
  costUsd: 0.01,
  endpoint: 'e',
  model: 'm',
  stop: 'tool-calls',
  attempts: 1,
  durationMs: 5,
});
const HANDOFF = JSON.stringify({ status: 'complete', summary: 'Done.' });
/** An agent that is done at once. */
export const CLOSES = { '/agent briefAndThink': [{ messages: [BRIEF], answer: answer('submit_handoff', HANDOFF) }] };
export const COLLECTED = { base: SHA, commit: SHA, filesChanged: ['a.txt'], unresolved: [] };

/** Spans go nowhere. */
const SINKS = { exporter: { export: { fn: () => undefined } } };

/**
 * What activities give or throw, or functions that say so, by the end of their workflow's id and their name, one after
 * the other; then they hang. Of `holdSandbox` that may be the queue of the sandbox's host. Of `handOff` with a
 * merge request and of `enqueueMerge` that is the queue's outcome; `'took it'`: it is asked, and that fails after it;
 * `{ unheard }`: the queue answers, and the activity does not end.
 */
export type Script = Record<string, unknown[]>;

export type TaskStage = Awaited<ReturnType<typeof taskStage>>;

/** Of the task that the calling workflow is, or works for. */
const taskOf = (workflowId: string): string => /^[^/]+\/[^/]+/.exec(workflowId)?.[0] ?? workflowId;

export async function untilCancelled(): Promise<never> {
  const beating = setInterval(() => Context.current().heartbeat(), 50);
  try {
    return await Context.current().cancelled;
  } finally {
    clearInterval(beating);
  }
}

export async function taskStage() {
  const server = await temporal();
  const client = await server.client();
  const queue = server.uniqueQueue();
  const log = createTestLog();
  const scripts = new Map<string, Script>();
  const begun = new Map<string, string[]>();
  const collects: CollectRequest[] = [];
  const asked: EnqueueRequest[] = [];
  /** Of a repository that nobody reads: its merge queue is nobody else's. */
  const location = `/${queue}`;
  let count = 0;

  async function scripted<T>(name: string): Promise<T> {
    const { workflowId } = Context.current().info.workflowExecution ?? { workflowId: '' };
    const task = taskOf(workflowId);
    const what = `${workflowId.slice(task.length)} ${name}`;
    begun.set(task, [...(begun.get(task) ?? []), what]);
    const next = scripts.get(task)?.[what]?.shift();
    const result = next instanceof Function ? await (next as () => unknown)() : next;
    if (result instanceof Error) throw result;
    return result === undefined ? await untilCancelled() : (result as T);
  }

  /** As it is; nobody runs the queue that it starts, so that the script says what becomes of the request. */
  const real = { client, taskQueue: `${queue}-nobody`, log };
  const asking = async (name: string, merge: EnqueueRequest, really: () => Promise<void>): Promise<void> => {
    const scriptedOutcome = await scripted<MergeOutcome | 'took it' | { unheard: MergeOutcome }>(name);
    await really();
    asked.push(merge);
    if (scriptedOutcome === 'took it') throw new Error('the answer was lost');
    const outcome = 'unheard' in scriptedOutcome ? scriptedOutcome.unheard : scriptedOutcome;
    const { id, requester } = merge.entry;
    await client.workflow.getHandle(requester.workflowId).signal(mergeOutcomeSignal, { id, outcome });
    if ('unheard' in scriptedOutcome) await untilCancelled();
  };
  const collectWork = async (request: CollectRequest) => {
    collects.push(request);
    return await scripted<typeof COLLECTED>('collectWork');
  };
  const activities = {
    async holdSandbox({ holder, epoch }: HoldRequest) {
      const { taskQueue } = Context.current().info;
      const { queue = taskQueue } = await scripted<{ queue?: string }>('holdSandbox');
      const sandbox = { id: `s-${epoch}`, epoch, queue };
      await client.workflow.getHandle(holder.workflowId).signal(leasedSignal, { sandbox, base: SHA });
      return await scripted('holdSandbox ends');
    },
    async handOff(request: HandOffRequest) {
      const { merge } = request;
      if (merge === undefined) await handOff(real, request);
      else await asking('handOff', merge, () => handOff(real, request));
    },
    enqueueMerge: (merge: EnqueueRequest) => asking('enqueueMerge', merge, () => enqueue(real, merge)),
    briefAndThink: () => scripted('briefAndThink'),
    briefWorker: () => scripted('briefWorker'),
    runCommand: () => scripted('runCommand'),
    actAndThink: () => scripted('actAndThink'),
    act: () => scripted('act'),
    think: () => scripted('think'),
    collectWork,
  };
  const connection = await server.workerConnection();
  const common = { connection, activities, maxHeartbeatThrottleInterval: 50, defaultHeartbeatThrottleInterval: 50 };
  const workers = [
    await Worker.create({ ...common, taskQueue: queue, workflowBundle: await server.workflowBundle(), sinks: SINKS }),
    await Worker.create({ ...common, taskQueue: `${queue}-sandbox` }),
    await Worker.create({ ...common, taskQueue: `${queue}-sandbox-reserved` }),
  ];
  const ended = Promise.all(workers.map((worker) => worker.run()));

  return {
    client,
    log,
    async close(): Promise<void> {
      for (const worker of workers) worker.shutdown();
      await ended;
      for (const id of new Set(asked.map(({ repo, target }) => mergeQueueWorkflowId(repo.key, target)))) {
        await client.workflow.getHandle(id).terminate();
      }
    },
    /** A task of a planner that is there and does nothing, so that its history keeps what it is told. */
    async started(script: Script, settings: Partial<RunSettings> = {}) {
      const run = `task-${process.pid}-${Date.now()}-${++count}`;
      const planner = await client.workflow.start('planner', {
        workflowId: run,
        taskQueue: `${queue}-nobody`,
        args: [{ repo: '/x', spec: 'S' }],
      });
      const parent = { workflowId: run, firstRunId: planner.firstExecutionRunId };
      const context = runContext(location, SHA, {
        root: parent,
        settings: { ...DEFAULT_RUN_SETTINGS, maxOutputTokens: MAX_OUTPUT, ...settings },
      });
      const workflowId = `${run}/alpha.1`;
      const lines = Object.entries({ ' holdSandbox': [{}, {}], ...script });
      scripts.set(workflowId, Object.fromEntries(lines.map(([name, results]) => [name, [...results]])));
      const input = {
        run: context,
        task: { id: 'alpha', description: 'do it' },
        attempt: 1,
        parent,
        ancestors: [parent],
      };
      const task = await client.workflow.start('task', {
        workflowId,
        taskQueue: queue,
        args: [TaskInput.parse(input)],
      });
      const heard = async () => {
        const { events } = await planner.fetchHistory();
        const signals = (events ?? []).flatMap((event) => event.workflowExecutionSignaledEventAttributes ?? []);
        const of = <T>(name: string): T[] =>
          signals
            .filter(({ signalName }) => signalName === name)
            .map(({ input: sent }) => defaultPayloadConverter.fromPayload<T>(sent?.payloads?.[0] ?? {}));
        return { handoffs: of<HandoffMessage>('handoff'), outcomes: of<OutcomeMessage>('outcome') };
      };
      return {
        task,
        chain: { workflowId, firstRunId: task.firstExecutionRunId },
        agent: client.workflow.getHandle(`${workflowId}/agent`),
        until: async (name: string, times = 1) => {
          const seen = () => (begun.get(workflowId) ?? []).filter((each) => each === name).length;
          await expect.poll(seen, { timeout: 20_000 }).toBe(times);
        },
        /** What its work was collected with, and what its queue was really asked, in order. */
        collects: () => collects.filter(({ change }) => change.workflowId === workflowId),
        asked: () => asked.filter(({ entry }) => entry.requester.workflowId === workflowId),
        /** The activities that it has scheduled, in order. */
        async scheduled(): Promise<string[]> {
          const { events } = await task.fetchHistory();
          return (events ?? []).flatMap(
            ({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name ?? [],
          );
        },
        /** What its planner has been told until now, in order. */
        heard,
        /** The same after its end. */
        async told() {
          await task.result().catch(() => undefined);
          const said = await heard();
          await planner.terminate();
          return said;
        },
        status: async () => (await task.describe()).status.name,
      };
    },
  };
}
