import { join } from 'node:path';
import { DefaultLogger, type LogEntry, Runtime, type WorkerOptions } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { type LookoutOptions, lookoutWorker, requireTriedSdk } from '../../src/host/lookout-worker.ts';
import { temporal } from '../support/temporal.ts';

const said: LogEntry[] = [];
Runtime.install({ logger: new DefaultLogger('ERROR', (entry) => void said.push(entry)) });

/** Has workflows count so far, one after the other. @returns whom the lookout called endless. */
async function count(options: Pick<LookoutOptions, 'endlessMs'>, ...turns: number[]) {
  const endless: { workflowType: string; workflowId: string }[] = [];
  const server = await temporal();
  const client = await server.client();
  const taskQueue = server.uniqueQueue();
  const lookout = lookoutWorker({
    guarded: false,
    traced: false,
    ...options,
    onEndless: (workflow) => endless.push(workflow),
  });
  const worker = await lookout.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, '..', 'support', 'long-workflows.ts'),
  });
  await worker.runUntil(async () => {
    for (const each of turns) {
      const start = { workflowId: `${taskQueue}-${each}`, taskQueue, args: [each] };
      expect(await client.workflow.execute('computes', start)).toBe(each);
    }
  });
  return endless;
}

/** A worker with the SDK's thread for workflows, or with ours. */
async function withWorker<T>(
  guarded: boolean,
  body: (start: { taskQueue: string; workflowId: string }) => Promise<T>,
  options: Pick<WorkerOptions, 'sinks'> = {},
) {
  const server = await temporal();
  const taskQueue = server.uniqueQueue();
  const worker = await lookoutWorker({ guarded, traced: false, onEndless: () => undefined }).create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, '..', 'support', 'waiting-workflows.ts'),
    ...options,
  });
  return await worker.runUntil(body({ taskQueue, workflowId: `${taskQueue}-1` }));
}

test('the stacks of what a workflow waits for are the same as in the thread of the SDK', async () => {
  const client = await (await temporal()).client();
  const stacks = (guarded: boolean) =>
    withWorker(guarded, async (start) => {
      const handle = await client.workflow.start('waits', start);
      // Behind the first timer.
      await expect.poll(async () => await handle.query('__stack_trace'), { timeout: 20_000 }).toMatch(/bothOf/);
      const plain = await handle.query<string>('__stack_trace');
      const enhanced = await handle.query<{ stacks: unknown[] }>('__enhanced_stack_trace');
      await handle.terminate();
      return {
        plain: plain.split('\n\n').sort(),
        enhanced: new Set(enhanced.stacks.map((stack) => JSON.stringify(stack))),
      };
    });
  const [ours, theirs] = [await stacks(false), await stacks(true)];
  expect(ours).toEqual(theirs);
  expect(ours.plain.join('\n')).toMatch(/eitherOf .*waiting-workflows\.ts:\d+:\d+/);
}, 60_000);

test('what a workflow tells a sink comes once and in order, from whichever of its tasks', async () => {
  const taken: number[] = [];
  const client = await (await temporal()).client();
  const numbers = { take: { fn: (_: unknown, n: number) => void taken.push(n), callDuringReplay: false } };
  await withWorker(false, (start) => client.workflow.execute('sinks', start), { sinks: { numbers } });
  expect(taken).toEqual([1, 2, 3, 4]);
}, 60_000);

test('a rejection that nobody handles fails the workflow task, as in the thread of the SDK', async () => {
  const client = await (await temporal()).client();
  await withWorker(false, async (start) => {
    const handle = await client.workflow.start('rejects', start);
    await handle.signal('fail');
    const failures = async () => {
      const { events } = await handle.fetchHistory();
      return (events ?? []).flatMap((event) => event.workflowTaskFailedEventAttributes?.failure?.message ?? []);
    };
    await expect.poll(failures, { timeout: 20_000 }).toContainEqual(expect.stringContaining('nobody looks at this'));
    await handle.terminate();
  });
}, 60_000);

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

test('another version of the SDK than the one it was tried with is refused, with both ways out of it', () => {
  expect(() => requireTriedSdk()).not.toThrow();
  expect(() => requireTriedSdk('1.23.1')).toThrow(/tried with @temporalio\/worker 1\.23\.0, and 1\.23\.1 is installed/);
  expect(() => requireTriedSdk('1.23.1')).toThrow(/Install that version, or set worker\.workflowThread to "sdk"/);
});
