/**
 * The SDK's worker, with a lookout for workflows that do not come to an end instead of a guard for each call into one.
 *
 * The guard is a thread that is started with each call and joined after it: some nine a turn of an agent, 80 µs of CPU
 * each, and where the processors are taken the workflows' thread waits for them. What it ends, an endless loop in a
 * workflow, is a bug of ours: it is told, and the server gives the workflow's task to another worker.
 */
import { type Logger, Worker } from '@temporalio/worker';

export class LookoutWorker extends Worker {
  /** An activation takes milliseconds; the server's own deadline is 10 s. */
  static longMs = 10_000;

  protected static override async createWorkflowCreator(
    ...[bundle, options, logger]: Parameters<(typeof Worker)['createWorkflowCreator']>
  ) {
    const unguarded = { ...options, isolateExecutionTimeoutMs: undefined as unknown as number };
    const creator = await super.createWorkflowCreator(bundle, unguarded, logger);
    return {
      destroy: () => creator.destroy(),
      async createWorkflow(...args: Parameters<typeof creator.createWorkflow>) {
        const workflow = await creator.createWorkflow(...args);
        const { workflowType, workflowId, runId } = args[0].info;
        const activate = workflow.activate.bind(workflow);
        workflow.activate = (activation) =>
          watched(activate(activation), LookoutWorker.longMs, logger, { workflowType, workflowId, runId });
        return workflow;
      },
    };
  }
}

/** Says so, again and again, for as long as it lasts. */
async function watched<T>(
  work: Promise<T>,
  longMs: number,
  logger: Logger,
  fields: Record<string, string>,
): Promise<T> {
  const began = Date.now();
  const telling = setInterval(() => {
    const seconds = Math.round((Date.now() - began) / 1_000);
    logger.error(
      `A workflow has computed for ${seconds} s without an end, and holds up all others of this worker`,
      fields,
    );
  }, longMs);
  try {
    return await work;
  } finally {
    clearInterval(telling);
  }
}
