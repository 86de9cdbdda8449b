import { join } from 'node:path';
import { DefaultLogger, type LogEntry, Runtime } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { type LookoutOptions, lookoutWorker } from '../src/workflow-worker.ts';
import { temporal } from './support/temporal.ts';

const said: LogEntry[] = [];
Runtime.install({ logger: new DefaultLogger('ERROR', (entry) => void said.push(entry)) });

/** Has workflows count so far, one after the other. @returns whom the lookout called endless. */
async function count(options: Pick<LookoutOptions, 'endlessMs'>, ...turns: number[]) {
  const endless: { workflowType: string; workflowId: string }[] = [];
  const server = await temporal();
  const client = await server.client();
  const taskQueue = server.uniqueQueue();
  const lookout = lookoutWorker({ guarded: false, ...options, onEndless: (workflow) => endless.push(workflow) });
  const worker = await lookout.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, 'support', 'long-workflows.ts'),
  });
  await worker.runUntil(async () => {
    for (const each of turns) {
      const start = { workflowId: `${taskQueue}-${each}`, taskQueue, args: [each] };
      expect(await client.workflow.execute('computes', start)).toBe(each);
    }
  });
  return endless;
}

test('a workflow that computes for long is told of while it does, then called endless, and not cut off', async () => {
  const endless = await count({ endlessMs: 100 }, 4e8, 10);
  expect(said.map(({ message }) => message)).toContainEqual(expect.stringContaining('without an end'));
  expect(said[0]?.meta).toMatchObject({ workflowType: 'computes', workflowId: expect.stringMatching(/-400000000$/) });
  expect(endless[0]).toMatchObject({ workflowType: 'computes', workflowId: expect.stringMatching(/-400000000$/) });
}, 60_000);

test('of others nothing is said', async () => {
  said.length = 0;
  expect(await count({}, 10, 11)).toEqual([]);
  expect(said).toEqual([]);
}, 60_000);
