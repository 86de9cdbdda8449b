/**
 * The SDK's worker, with a thread of ours for workflows (workflow-thread.ts), and a lookout for those that do not come to
 * an end instead of a guard for each call into one.
 *
 * The guard is a thread that is started with each call and joined after it: some twelve a turn of an agent, 80 µs of CPU
 * each, and where the processors are taken the workflows' thread waits for them. What it ends, an endless loop in a
 * workflow, is a bug of ours, and blocks all workflows of the process: `onEndless` is to end it, and whoever starts it
 * again asks for the guard.
 */
import { createRequire } from 'node:module';
import { Worker as Thread } from 'node:worker_threads';
import { type Logger, Worker } from '@temporalio/worker';
import { ThreadedVMWorkflowCreator, WorkerThreadClient } from '@temporalio/worker/lib/workflow/threaded-vm.js';
import type { WithSinkCalls, WorkflowThreadData } from './workflow-thread.ts';

export type LookoutOptions = {
  /** With the SDK's own thread and guard: a call into a workflow ends after 5 s, and its workflow task fails. */
  guarded: boolean;
  /** Whether the spans of workflows are sent anywhere. */
  traced: boolean;
  /** Called once a workflow has computed for so long; each time before, it is told in the log. */
  endlessMs?: number;
  onEndless: (workflow: { workflowType: string; workflowId: string; runId: string }) => void;
};

const TELL_EVERY_MS = 10_000;
const ENDLESS_MS = 30_000;

/** workflow-thread.ts replaces parts of the SDK that are not its interface: it was tried with this version. */
const TRIED_SDK = '1.23.0';

/** @throws Error where the installed SDK is not the one that workflow-thread.ts was tried with. */
export function requireTriedSdk(installed: string = sdkVersion()): void {
  if (installed === TRIED_SDK) return;
  throw new Error(
    `The thread that workflows run in (src/host/workflow-thread.ts) was tried with @temporalio/worker ${TRIED_SDK}, ` +
      `and ${installed} is installed. Install that version, or set worker.workflowThread to "sdk" in ` +
      'temporal.config.ts: workflows run in the thread of the SDK then, which takes more CPU.',
  );
}

const sdkVersion = (): string =>
  (createRequire(import.meta.url)('@temporalio/worker/package.json') as { version: string }).version;

/** @throws Error @see requireTriedSdk */
export function lookoutWorker({ guarded, traced, endlessMs = ENDLESS_MS, onEndless }: LookoutOptions): typeof Worker {
  if (guarded) return Worker;
  requireTriedSdk();
  return class LookoutWorker extends Worker {
    protected static override async createWorkflowCreator(...[bundle, options, logger]: CreatorArguments) {
      // In a debugger workflows run in the main thread.
      if (options.debugMode === true) return await super.createWorkflowCreator(bundle, options, logger);
      const creator = await createThreads({ traced }, bundle, options, logger);
      return {
        destroy: () => creator.destroy(),
        async createWorkflow(...args: Parameters<typeof creator.createWorkflow>) {
          const workflow = await creator.createWorkflow(...args);
          const { workflowType, workflowId, runId } = args[0].info;
          const fields = { workflowType, workflowId, runId };
          const activate = workflow.activate.bind(workflow);
          const getAndResetSinkCalls = workflow.getAndResetSinkCalls.bind(workflow);
          let sinkCalls: number | undefined;
          workflow.activate = async (activation) => {
            sinkCalls = undefined;
            const watch = { logger, fields, endlessMs, onEndless: () => onEndless(fields) };
            const completion = await watched(activate(activation), watch);
            sinkCalls = (completion as WithSinkCalls).sinkCalls;
            return completion;
          };
          workflow.getAndResetSinkCalls = () => (sinkCalls === 0 ? Promise.resolve([]) : getAndResetSinkCalls());
          return workflow;
        },
      };
    }
  };
}

type CreatorArguments = Parameters<(typeof Worker)['createWorkflowCreator']>;

/** As the SDK does, but for the thread's module. */
async function createThreads(
  workerData: WorkflowThreadData,
  ...[workflowBundle, options, logger]: CreatorArguments
): Promise<ThreadedVMWorkflowCreator> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const module = new URL(`./workflow-thread.${extension}`, import.meta.url);
  const clients = Array.from(
    { length: options.workflowThreadPoolSize },
    () => new WorkerThreadClient(new Thread(module, { workerData }), logger),
  );
  const init = {
    type: 'init' as const,
    workflowBundle,
    // No guard.
    isolateExecutionTimeoutMs: undefined as unknown as number,
    reuseV8Context: true,
    registeredActivityNames: new Set(options.activities.keys()),
    hasPatchActivationCallback: false,
  };
  await Promise.all(clients.map((client) => client.send(init)));
  return new ThreadedVMWorkflowCreator(clients);
}

type Watch = { logger: Logger; fields: Record<string, string>; endlessMs: number; onEndless: () => void };

async function watched<T>(work: Promise<T>, { logger, fields, endlessMs, onEndless }: Watch): Promise<T> {
  const began = Date.now();
  const looking = setInterval(
    () => {
      const ms = Date.now() - began;
      const seconds = Math.round(ms / 1_000);
      logger.error(`A workflow has computed for ${seconds} s without an end, and holds up all others here`, fields);
      if (ms >= endlessMs) onEndless();
    },
    Math.min(TELL_EVERY_MS, endlessMs),
  );
  try {
    return await work;
  } finally {
    clearInterval(looking);
  }
}
