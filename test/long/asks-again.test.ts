/** A request that the merge queue has lost is made again. Minutes, because that is how long a task waits first. */
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { expect, test } from 'vitest';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import { createMergeActivities } from '../../src/activities/merge-queue/index.ts';
import { createDescribeChains } from '../../src/activities/support/describe-chains.ts';
import { mergeQueueWorkflowId } from '../../src/shared/base/ids.ts';
import { createTestLog } from '../support/log.ts';
import { workOn } from '../support/merges.ts';
import { bareRepository, temporaryFolder } from '../support/repos.ts';
import { runContext } from '../support/run-context.ts';
import { temporal } from '../support/temporal.ts';
import { lander } from '../workflows/task/landing-workflows.ts';

test('a task whose merge queue was terminated with its request asks again, and its work lands once', async () => {
  const server = await temporal();
  const client = await server.client();
  const connection = await server.workerConnection();
  const folder = temporaryFolder();
  const remote = bareRepository(join(folder.dir, 'origin.git'));
  const [queues, tasks] = [server.uniqueQueue(), server.uniqueQueue()];
  const mirrors = createMirrors({ dir: join(folder.dir, 'mirrors') });
  const merge = createMergeActivities({ mirrors, client, taskQueue: queues, log: createTestLog() });
  const asked: string[] = [];
  let lost = false;
  const queueWorker = await Worker.create({
    connection,
    taskQueue: queues,
    workflowBundle: await server.workflowBundle(),
    activities: {
      ...merge,
      async landBatch(request: Parameters<typeof merge.landBatch>[0]) {
        if (lost) return await merge.landBatch(request);
        lost = true;
        await client.workflow
          .getHandle(mergeQueueWorkflowId(request.repo.key, 'main'))
          .terminate('lost, with all in it');
        throw new Error('its workflow has ended');
      },
    },
  });
  const taskWorker = await Worker.create({
    connection,
    taskQueue: tasks,
    workflowsPath: join(import.meta.dirname, '../workflows/task/landing-workflows.ts'),
    activities: {
      describeChains: createDescribeChains({ client }),
      async enqueueMerge(request: Parameters<typeof merge.enqueueMerge>[0]) {
        asked.push(request.entry.id);
        await merge.enqueueMerge(request);
      },
    },
  });
  try {
    await queueWorker.runUntil(() =>
      taskWorker.runUntil(async () => {
        // The run, of which nothing is wanted but that it is open.
        const root = await client.workflow.start('planner', { workflowId: `${tasks}-root`, taskQueue: 'nobody' });
        const chain = { workflowId: root.workflowId, firstRunId: root.firstExecutionRunId };
        const { commit, base } = workOn(remote, remote.tip(), 'alpha', { a: 'a' });
        const run = runContext(remote.dir, base, { root: chain });
        const workflowId = `${root.workflowId}/alpha.1`;
        const handle = await client.workflow.start(lander, {
          workflowId,
          taskQueue: tasks,
          args: [{ run, commit, tries: 1 }],
        });
        const outcomes = await handle.result();
        expect(outcomes).toEqual([{ kind: 'landed', commit: remote.tip() }]);
        const id = `${handle.firstExecutionRunId}/1`;
        expect(asked).toEqual([id, id]);
        await root.terminate('end of the test');
      }),
    );
    expect(remote.log()).toEqual(['alpha', 'first']);
  } finally {
    folder.remove();
  }
}, 300_000);
