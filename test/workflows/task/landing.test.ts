import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { expect, test } from 'vitest';
import type { MergeActivities } from '../../../src/shared/contracts/activities.ts';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { mergeOutcomeSignal } from '../../../src/shared/messages.ts';
import { runContext } from '../../support/run-context.ts';
import { temporal } from '../../support/temporal.ts';
import { lander, outcomesQuery } from './landing-workflows.ts';

const SHA = 'a'.repeat(40);

test('each try asks under a name of its own, and takes no answer but the one to it', async () => {
  const server = await temporal();
  const client = await server.client();
  const taskQueue = server.uniqueQueue();
  const asked: string[] = [];
  const activities: Pick<MergeActivities, 'enqueueMerge'> = {
    async enqueueMerge({ entry }) {
      asked.push(entry.id);
    },
  };
  const worker = await Worker.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, 'landing-workflows.ts'),
    activities,
  });
  const conflicted: MergeOutcome = { kind: 'conflicted', files: ['a.txt'], tip: SHA };
  const landed: MergeOutcome = { kind: 'landed', commit: SHA };
  await worker.runUntil(async () => {
    const handle = await client.workflow.start(lander, {
      workflowId: `${taskQueue}/alpha.1`,
      taskQueue,
      args: [{ run: runContext('/x', SHA), commit: SHA, tries: 2 }],
    });
    const [first, second] = [`${handle.firstExecutionRunId}/1`, `${handle.firstExecutionRunId}/2`];
    /** The outcomes that it took when it has asked so often, and knows that it has. */
    const takenAfter = async (requests: string[]) => {
      const pending = async () => (await handle.describe()).raw.pendingActivities?.length ?? 0;
      await expect.poll(() => asked, { timeout: 10_000 }).toEqual(requests);
      await expect.poll(pending, { timeout: 10_000 }).toBe(0);
      return await handle.query(outcomesQuery);
    };
    await handle.signal(mergeOutcomeSignal, { id: `${handle.firstExecutionRunId}/9`, outcome: { kind: 'empty' } });
    expect(await takenAfter([first])).toEqual([]);
    await handle.signal(mergeOutcomeSignal, { id: first, outcome: conflicted });
    // Whoever answers may do it twice.
    await handle.signal(mergeOutcomeSignal, { id: first, outcome: conflicted });
    expect(await takenAfter([first, second])).toEqual([conflicted]);
    await handle.signal(mergeOutcomeSignal, { id: second, outcome: landed });
    expect(await handle.result()).toEqual([conflicted, landed]);
  });
}, 60_000);
