import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findStuck } from '../../../src/doctor/stuck.ts';
import { createDescribeChains } from '../../../src/activities/support/describe-chains.ts';
import { createEndWorkflows, createFindStuck } from '../../../src/activities/support/stuck.ts';
import type { RunActivities } from '../../../src/shared/contracts/activities.ts';
import { NO_METRICS, TaskResult } from '../../../src/shared/contracts/task.ts';
import type { Chain } from '../../../src/shared/base/ids.ts';
import { createTestLog } from '../../support/log.ts';
import { temporal } from '../../support/temporal.ts';
import type * as workflows from './chains-workflows.ts';

let client: Client;
let queue: string;
let worker: Worker;
let running: Promise<void>;
let describeChains: RunActivities['describeChains'];

beforeAll(async () => {
  const server = await temporal();
  client = await server.client();
  queue = server.uniqueQueue();
  worker = await Worker.create({
    connection: await server.workerConnection(),
    taskQueue: queue,
    workflowsPath: join(import.meta.dirname, 'chains-workflows.ts'),
  });
  running = worker.run();
  describeChains = createDescribeChains({ client });
}, 120_000);

afterAll(async () => {
  worker.shutdown();
  await running;
});

type Started = WorkflowHandleWithFirstExecutionRunId;

const start = (type: keyof typeof workflows, args: unknown[], workflowId: string = randomUUID()): Promise<Started> =>
  client.workflow.start(type, { taskQueue: queue, workflowId, args });

const chainOf = (handle: Started): Chain => ({ workflowId: handle.workflowId, firstRunId: handle.firstExecutionRunId });

const RESULT: TaskResult = {
  handoff: { status: 'complete', summary: 's', concerns: [], suggestions: [], filesChanged: [], metrics: NO_METRICS },
  outcome: { kind: 'landed', commit: 'a'.repeat(40) },
  conflictMetrics: NO_METRICS,
};

async function ended(handle: Started): Promise<void> {
  await handle.result().catch(() => undefined);
}

it('says how each one stands, in the order asked', async () => {
  const [open, done, other, failed, terminated, cancelled] = await Promise.all([
    start('waits', []),
    start('returns', [RESULT]),
    start('returns', ['not what a task returns']),
    start('fails', ['the disk is full']),
    start('waits', []),
    start('waits', []),
  ]);
  await terminated.terminate('by a person');
  await cancelled.cancel();
  await Promise.all([done, other, failed, terminated, cancelled].map(ended));
  const missing = { workflowId: randomUUID(), firstRunId: randomUUID() };
  const chains = [...[open, done, other, failed, terminated, cancelled].map(chainOf), missing];
  expect(await describeChains({ chains })).toEqual([
    { kind: 'running' },
    { kind: 'completed', result: RESULT },
    { kind: 'completed', result: null },
    { kind: 'failed', reason: expect.stringMatching(/^failed: the disk is full$/) },
    { kind: 'failed', reason: 'terminated: by a person' },
    { kind: 'failed', reason: expect.stringMatching(/^cancelled: /) },
    { kind: 'missing' },
  ]);
  await open.terminate();
});

it('knows a timed out one', async () => {
  const handle = await client.workflow.start('waits', {
    taskQueue: queue,
    workflowId: randomUUID(),
    workflowExecutionTimeout: '1s',
  });
  await ended(handle);
  expect(await describeChains({ chains: [chainOf(handle)] })).toEqual([
    { kind: 'failed', reason: expect.stringMatching(/^timed out: /) },
  ]);
});

it('follows a chain over continue-as-new, running and ended', async () => {
  const [open, done] = await Promise.all([start('goesOn', [2, null]), start('goesOn', [2, RESULT])]);
  await ended(done);
  expect(await describeChains({ chains: [chainOf(done), chainOf(open)] })).toEqual([
    { kind: 'completed', result: RESULT },
    { kind: 'running' },
  ]);
  const latest = (await open.describe()).runId;
  expect(latest).not.toBe(open.firstExecutionRunId);
  expect(await describeChains({ chains: [{ workflowId: open.workflowId, firstRunId: latest }] })).toEqual([
    { kind: 'missing' },
  ]);
  await open.terminate();
});

it('does not take a later workflow of the same id for the one that was started', async () => {
  const first = await start('returns', [RESULT]);
  await ended(first);
  const second = await start('waits', [], first.workflowId);
  expect(await describeChains({ chains: [chainOf(first), chainOf(second)] })).toEqual([
    { kind: 'missing' },
    { kind: 'running' },
  ]);
  await second.terminate();
});

it('answers for many at once', async () => {
  const handle = await start('waits', []);
  const chains = Array.from({ length: 150 }, () => chainOf(handle));
  expect(await describeChains({ chains })).toEqual(chains.map(() => ({ kind: 'running' })));
  await handle.terminate();
});

const STUCK = { type: 'cannotGoOn', reason: expect.stringContaining('the code of this worker is wrong') };

it('knows one that cannot go on, with the reason, soon after its workflow task began to fail', async () => {
  const handle = await start('cannotGoOn', [null]);
  await expect
    .poll(() => describeChains({ chains: [chainOf(handle)] }), { timeout: 60_000, interval: 500 })
    .toEqual([{ kind: 'running', stuck: expect.objectContaining({ ...STUCK, workflowId: handle.workflowId }) }]);
  await handle.terminate();
}, 90_000);

it('finds all of a run that cannot go on, and nothing of another run of a like name; ends them with what is below', async () => {
  const run = `run-${randomUUID()}`;
  const [above, other] = await Promise.all([start('waitsForStuck', [], run), start('waitsForStuck', [], `${run}2`)]);
  // A run whose name is below this one's: its root is another.
  const inside = await start('cannotGoOn', [`${run}/odd/child`], `${run}/odd`);
  const log = createTestLog();
  const find = createFindStuck({ client, log });
  const found = () => find({ root: run, run, known: [], closely: [] });
  const child = expect.objectContaining({ ...STUCK, workflowId: `${run}/child` });
  await expect.poll(found, { timeout: 60_000, interval: 500 }).toEqual({ stuck: [child] });
  expect(await findStuck(client, { run })).toEqual([child]);
  const closely = [`${run}/odd`];
  expect((await find({ root: 'none', run: 'none', known: [], closely })).stuck).toEqual([
    expect.objectContaining({ workflowId: `${run}/odd` }),
  ]);

  const end = createEndWorkflows({ client, log });
  await end({ runs: (await found()).stuck, below: [chainOf(inside)], reason: 'cannot go on' });
  await expect(above.result()).rejects.toThrow();
  const gone = [inside, client.workflow.getHandle(`${run}/odd/child`), client.workflow.getHandle(`${run}/child`)];
  for (const handle of gone) expect((await handle.describe()).status.name).toBe('TERMINATED');
  expect((await other.describe()).status.name).toBe('RUNNING');
  await end({ runs: [], below: [chainOf(inside), chainOf(other)], reason: 'once more' });
  expect(await found()).toEqual({ stuck: [] });
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
}, 120_000);
