/**
 * A worker of merge queues that is killed: by its git, which kills its parent where `kill` says so, or by itself when an
 * activity has done its work and its result is not yet reported. Argument: a LandingWorker as JSON.
 */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import { createMergeActivities } from '../../src/activities/merge-queue/index.ts';
import type { Boundary, LandingWorker } from './landing-lane.ts';

const { dir, address, taskQueue, codePath } = JSON.parse(process.argv[2] ?? '{}') as LandingWorker;
// It ends with the test, however that ends.
process.on('disconnect', () => process.exit(1));
Runtime.install({ logger: new DefaultLogger('ERROR') });

function dieIf(boundary: Boundary): void {
  const order = join(dir, 'kill');
  if (!existsSync(order) || readFileSync(order, 'utf8').trim() !== boundary) return;
  renameSync(order, join(dir, 'killed'));
  process.kill(process.pid, 'SIGKILL');
}

const mirrors = createMirrors({
  dir: join(dir, 'mirrors'),
  env: { PATH: `${join(dir, 'bin')}:${process.env.PATH}`, HOME: dir },
});
const client = new Client({ connection: await Connection.connect({ address }) });
const real = createMergeActivities({ mirrors, client, taskQueue });
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  taskQueue,
  workflowBundle: { codePath },
  stickyQueueScheduleToStartTimeout: '2s',
  // The bundle's interceptors speak to one.
  sinks: { exporter: { export: { fn: () => undefined, callDuringReplay: false } } },
  activities: {
    ...real,
    async landBatch(request: Parameters<typeof real.landBatch>[0]) {
      const result = await real.landBatch(request);
      dieIf('after the read-back');
      return result;
    },
    async answerRequesters(request: Parameters<typeof real.answerRequesters>[0]) {
      await real.answerRequesters(request);
      dieIf('after the answer');
    },
  },
});
await worker.run();
