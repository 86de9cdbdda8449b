/** The bare pattern's worker as a process of its own, with the settings of ours. Arguments: address, task queue. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { BareActivities } from './bare-workflows.ts';

const [address = '', taskQueue = ''] = process.argv.slice(2);
const activities: BareActivities = {
  think: async (ms) => void (await sleep(ms)),
  act: async () => void (await sleep(10)),
};
const worker = await Worker.create({
  connection: await NativeConnection.connect({ address }),
  taskQueue,
  workflowsPath: fileURLToPath(new URL('./bare-workflows.ts', import.meta.url)),
  activities,
  maxCachedWorkflows: 600,
  maxConcurrentActivityTaskExecutions: 400,
  maxConcurrentWorkflowTaskExecutions: 100,
  workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
  activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
});
process.on('disconnect', () => worker.shutdown());
process.send?.({ ready: true });
await worker.run();
process.exit(0);
