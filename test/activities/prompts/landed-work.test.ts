import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createReadLandedWork,
  type ReadLandedWork,
  taskOfCommit,
} from '../../../src/activities/prompts/landed-work.ts';
import { NO_METRICS, TaskInput, TaskResult } from '../../../src/shared/contracts/task.ts';
import { createTestLog } from '../../support/log.ts';
import { runContext } from '../../support/run-context.ts';
import { temporal } from '../../support/temporal.ts';

const SHA = 'a'.repeat(40);
const run = runContext('/srv/x.git', SHA);
const root = { workflowId: 'run', firstRunId: 'root-run' };
const input = TaskInput.parse({
  run,
  task: { id: 'beta', description: 'Make it two.' },
  attempt: 1,
  parent: root,
  ancestors: [root],
});
const result = TaskResult.parse({
  handoff: {
    status: 'complete',
    summary: 'It is two now.',
    concerns: ['three is open'],
    suggestions: [],
    filesChanged: [],
    metrics: NO_METRICS,
  },
  outcome: { kind: 'landed', commit: SHA },
  conflictMetrics: NO_METRICS,
});

let client: Client;
let queue: string;
let worker: Worker;
let running: Promise<void>;
let read: ReadLandedWork;
const log = createTestLog();
beforeAll(async () => {
  const server = await temporal();
  client = await server.client();
  queue = server.uniqueQueue();
  worker = await Worker.create({
    connection: await server.workerConnection(),
    taskQueue: queue,
    workflowsPath: join(import.meta.dirname, 'landed-workflows.ts'),
  });
  running = worker.run();
  read = createReadLandedWork({ client, log });
}, 120_000);
afterAll(async () => {
  worker.shutdown();
  await running;
});

async function started(args: [unknown, unknown]) {
  const workflowId = randomUUID();
  const handle = await client.workflow.start('gives', { taskQueue: queue, workflowId, args });
  return { handle, chain: { workflowId, firstRunId: handle.firstExecutionRunId } };
}

describe('what another task was there for', () => {
  it('is its assignment, and its handoff once it has ended', async () => {
    const { handle, chain } = await started([input, result]);
    await handle.result();
    expect(await read(run, chain)).toEqual({ task: input.task, handoff: result.handoff });
    const { chain: waiting } = await started([input, null]);
    expect(await read(run, waiting)).toEqual({ task: input.task });
  });

  it('is not told of other repositories and branches, of what is no task, and of what is gone', async () => {
    const elsewhere = await started([
      { ...input, run: { ...run, repo: { location: '/srv/y.git', key: '/srv/y' } } },
      result,
    ]);
    const branch = await started([{ ...input, run: { ...run, target: 'other' } }, result]);
    const rubbish = await started([{ secret: 'of another workflow' }, result]);
    for (const { chain } of [elsewhere, branch, rubbish]) expect(await read(run, chain)).toBeNull();
    expect(await read(run, { workflowId: randomUUID(), firstRunId: randomUUID() })).toBeNull();
    expect(await read(run, { workflowId: 'x', firstRunId: 'not a run id' })).toBeNull();
  });
});

describe('the task of a commit', () => {
  const trailers = 'Swarm-Task: run/beta.1\nSwarm-Change: first-run';
  it('is in the trailers of the last paragraph', () => {
    const chain = { workflowId: 'run/beta.1', firstRunId: 'first-run' };
    expect(taskOfCommit(`subject\n\nbody\n\n${trailers}\n`)).toEqual(chain);
    expect(taskOfCommit(`subject\n\n${trailers}\n\nwords after it`)).toBeUndefined();
    expect(taskOfCommit('subject\n\nSwarm-Change: first-run')).toBeUndefined();
    expect(taskOfCommit('')).toBeUndefined();
  });
});
