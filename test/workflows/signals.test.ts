import { ApplicationFailure } from '@temporalio/common';
import { type Client, WorkflowUpdateFailedError } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FreezeActivities, MergeActivities, RunActivities } from '../../src/shared/contracts/activities.ts';
import type { MergeAnswer } from '../../src/shared/contracts/merge.ts';
import { FailureType, failureTypeOf, terminal } from '../../src/shared/base/failures.ts';
import { DEFAULT_RUN_SETTINGS } from '../../src/shared/contracts/run-settings.ts';
import { steerUpdate } from '../../src/shared/messages.ts';
import { mergeRequest, SHA } from '../support/merge-requests.ts';
import { temporal, type TestTemporal } from '../support/temporal.ts';

const RUBBISH = [undefined, null, 5, 'x', {}, { sandbox: {} }, [{ id: 1 }]];

let server: TestTemporal;
let client: Client;
let count = 0;
const uniqueId = (): string => `signals-${process.pid}-${Date.now()}-${++count}`;

beforeAll(async () => {
  server = await temporal();
  client = await server.client();
});

/** Runs a worker with the product's workflows and these activities while the body runs. */
async function working<T>(taskQueue: string, activities: object, body: () => Promise<T>): Promise<T> {
  const worker = await Worker.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowBundle: await server.workflowBundle(),
    activities,
  });
  return await worker.runUntil(body);
}

async function failedWorkflowTasks(workflowId: string): Promise<number> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).filter((event) => event.workflowTaskFailedEventAttributes != null).length;
}

describe('the merge queue', () => {
  type Used = Pick<MergeActivities, 'landBatch' | 'answerRequesters'> & Pick<FreezeActivities, 'readFreeze'>;
  const activitiesTo = (answers: MergeAnswer[]): Used => ({
    async readFreeze() {
      return { freeze: null };
    },
    async landBatch({ entries }) {
      return { tip: SHA, overtaken: 0, outcomes: entries.map(({ id }) => ({ id, outcome: { kind: 'empty' } })) };
    },
    async answerRequesters(request) {
      answers.push(...request.answers.map(({ answer }) => answer));
    },
  });
  const args = [{ repo: { location: '/x', key: '/x' }, target: 'main' }];

  test('drops signals that are no requests, and answers those that are', async () => {
    const [taskQueue, workflowId, answers] = [server.uniqueQueue(), uniqueId(), [] as MergeAnswer[]];
    await working(taskQueue, activitiesTo(answers), async () => {
      const handle = await client.workflow.start('mergeQueue', { workflowId, taskQueue, args });
      for (const said of RUBBISH) await handle.signal('enqueue', said);
      await handle.signal('enqueue', mergeRequest('good'));
      await handle.result();
    });
    expect(answers.map(({ id }) => id)).toEqual(['good']);
    expect(await failedWorkflowTasks(workflowId)).toBe(0);
  }, 30_000);
});

describe('the planner', () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const activities: Pick<RunActivities, 'prepareRun'> = {
    async prepareRun() {
      await released;
      throw terminal(FailureType.BadInput, 'nothing to prepare here');
    },
  };
  afterAll(() => release());

  test('drops signals that no task sends, and refuses what is too long to be carried along', async () => {
    const [taskQueue, workflowId] = [server.uniqueQueue(), uniqueId()];
    await working(taskQueue, activities, async () => {
      const handle = await client.workflow.start('planner', {
        workflowId,
        taskQueue,
        args: [{ repo: '/x', spec: 'S' }],
      });
      for (const said of RUBBISH) {
        await handle.signal('handoff', said);
        await handle.signal('outcome', said);
      }
      await handle.executeUpdate(steerUpdate, { args: [{ text: 'be quick' }] });
      const tooLong = handle.executeUpdate(steerUpdate, { args: [{ text: 'x'.repeat(9_000) }] });
      await expect(tooLong).rejects.toThrow(WorkflowUpdateFailedError);
      release();
      const error = await handle.result().catch((reason: unknown) => reason);
      expect(failureTypeOf(error)).toBe(FailureType.BadInput);
    });
    expect(await failedWorkflowTasks(workflowId)).toBe(0);
  }, 30_000);

  test('refuses a run id that its children could not be named after', async () => {
    const [taskQueue, workflowId] = [server.uniqueQueue(), `${uniqueId()}-${'x'.repeat(300)}`];
    await working(taskQueue, activities, async () => {
      const handle = await client.workflow.start('planner', {
        workflowId,
        taskQueue,
        args: [{ repo: '/x', spec: 'S' }],
      });
      const error = await handle.result().catch((reason: unknown) => reason);
      expect(failureTypeOf(error)).toBe(FailureType.BadInput);
    });
  }, 30_000);
});

describe('a task', () => {
  test('that is started beside its run fails, with the reason, instead of trying for ever', async () => {
    const [taskQueue, workflowId] = [server.uniqueQueue(), uniqueId()];
    const root = { workflowId: 'another-run', firstRunId: 'first' };
    const run = {
      root,
      repo: { location: '/x', key: '/x' },
      base: SHA,
      target: 'main',
      settings: DEFAULT_RUN_SETTINGS,
    };
    const input = { run, task: { id: 'a', description: 'a' }, attempt: 1, parent: root, ancestors: [root] };
    await working(taskQueue, {}, async () => {
      const handle = await client.workflow.start('task', { workflowId, taskQueue, args: [input] });
      const error = await handle.result().catch((reason: unknown) => reason);
      expect(failureTypeOf(error)).toBe(FailureType.Invariant);
      expect((error as Error).cause).toBeInstanceOf(ApplicationFailure);
    });
  }, 30_000);
});
