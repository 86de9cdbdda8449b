import { join } from 'node:path';
import { DefaultLogger, type LogEntry, Runtime } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { lookoutWorker } from '../src/workflow-worker.ts';
import { temporal } from './support/temporal.ts';

test('a workflow that computes for long is told of while it does, and then called endless; a short one is not', async () => {
  const said: LogEntry[] = [];
  const endless: unknown[] = [];
  Runtime.install({ logger: new DefaultLogger('ERROR', (entry) => void said.push(entry)) });
  const server = await temporal();
  const client = await server.client();
  const taskQueue = server.uniqueQueue();
  const lookout = lookoutWorker({ guarded: false, endlessMs: 100, onEndless: (workflow) => endless.push(workflow) });
  const worker = await lookout.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, 'support', 'long-workflows.ts'),
  });
  await worker.runUntil(async () => {
    const start = (turns: number) =>
      client.workflow.execute('computes', { workflowId: `${taskQueue}-${turns}`, taskQueue, args: [turns] });
    expect(await start(10)).toBe(10);
    expect([...said, ...endless]).toEqual([]);
    expect(await start(4e8)).toBe(4e8);
    expect(said.map(({ message }) => message)).toContainEqual(expect.stringContaining('without an end'));
    expect(said[0]?.meta).toMatchObject({ workflowType: 'computes', workflowId: `${taskQueue}-${4e8}` });
    expect(endless[0]).toMatchObject({ workflowType: 'computes', workflowId: `${taskQueue}-${4e8}` });
    expect(await start(11)).toBe(11);
  });
}, 60_000);
