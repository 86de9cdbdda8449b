/**
 * The worker: the only place that composes configuration, connections and activities. One process has four
 * Temporal workers: workflows with their LLM, git and merge activities; the leases of sandboxes; the reserved
 * leases of conflict agents; and this host's own queue, for what must run where a sandbox is.
 */
import { randomBytes } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { createCommandActivities } from './activities/agent/external-agent.ts';
import { createInboxSource } from './activities/agent/inbox.ts';
import { createCheckActivities, createSweepActivities } from './activities/reconciler/index.ts';
import { createGitHub } from './activities/deliver/github.ts';
import { createDeliverActivities } from './activities/deliver/index.ts';
import { createMirrors } from './activities/git/mirrors.ts';
import { withHeartbeats } from './activities/support/heartbeats.ts';
import { createThinker } from './activities/llm/think.ts';
import { createLlmMetrics, LLM_BUCKETS } from './activities/llm/metrics.ts';
import { createModels } from './activities/llm/models.ts';
import { publishEndpoints } from './activities/llm/status-file.ts';
import { RecentMessages } from './activities/llm/recent-messages.ts';
import { createTranscriptSource } from './activities/llm/transcript.ts';
import { createWaitNews } from './activities/llm/wait-news.ts';
import { createMergeActivities } from './activities/merge-queue/index.ts';
import { createNotify, webhookOf } from './activities/notify/notify.ts';
import { createSpawner } from './activities/process/spawner.ts';
import { createRunActivities } from './activities/run/index.ts';
import { createSandboxes } from './activities/sandbox/index.ts';
import { createRegistryFinder } from './activities/sandbox/registries/find.ts';
import { type ChainWatch, createChainWatch } from './activities/support/chain-watch.ts';
import { createTurnActivities } from './activities/agent/act-and-think.ts';
import { createOpeningActivities } from './activities/agent/brief-and-think.ts';
import { remembering } from './activities/agent/remember.ts';
import { loadConfig } from './host/load-config.ts';
import { connectionOptions } from './host/connection.ts';
import { renderReport } from './dashboard/report.ts';
import type { Log } from './activities/support/log.ts';
import { createLogger } from './host/logger.ts';
import { checkModels } from './doctor/preflight.ts';
import { installRuntime } from './host/runtime.ts';
import type { Config } from './shared/config/worker-config.ts';
import { modelWaitSignal } from './shared/messages.ts';
import { trustedRegistries } from './shared/contracts/network.ts';
import { hostQueue, reservedQueue, sandboxQueue } from './shared/queues.ts';
import { startTracing } from './host/tracing.ts';
import type { WorkerRequest } from './host/worker-request.ts';
import { workflowBundle } from './host/workflow-source.ts';
import { lookoutWorker } from './host/lookout-worker.ts';

/** Runs until `signal` is aborted. Throws, before anything is polled, when models or isolation are unusable. */
export async function runWorker(request: WorkerRequest): Promise<void> {
  const { signal } = request;
  const base = await connect(request);
  const { config, stateDir, log, target } = base;
  try {
    const services = await createServices(base, signal);
    const workers = await createWorkers(base, services.hostId, composeActivities(base, services));
    const { sandboxes, llm, hostId } = services;
    const stopReaping = sandboxes.reapRegularly();
    const stopPublishing = publishEndpoints({ router: llm.models.router, stateDir, log, metrics: llm.metrics });
    try {
      await runAll(workers, signal, () => {
        const { address, namespace } = target;
        log.info({ address, namespace, taskQueue: config.taskQueue, hostId }, 'worker is ready');
        request.onReady?.();
      });
    } finally {
      stopReaping();
      await stopPublishing();
      await llm.waits.stop();
    }
  } finally {
    await base.connection.close();
    base.spawner.close();
    await base.tracing.stop();
  }
}

type Base = Awaited<ReturnType<typeof connect>>;

/** Checks the configuration and its models, and connects to Temporal. */
async function connect(request: WorkerRequest) {
  const { env } = request;
  const { config, stateDir } = await loadConfig(request);
  const log = createLogger(env);
  const { endpoints, unreachable } = await checkModels({ config, env, log });
  const target = await connectionOptions({ config, env, stateDir });
  await mkdir(stateDir, { recursive: true, mode: 0o700 });

  const meter = installRuntime({ log, metrics: config.metrics, histogramBuckets: LLM_BUCKETS });
  const tracing = startTracing(env);
  const spawner = createSpawner();
  const connection = await NativeConnection.connect(target.connection);
  return { env, config, stateDir, log, endpoints, unreachable, target, meter, tracing, spawner, connection };
}

type Services = Awaited<ReturnType<typeof createServices>>;

/** What the activities of this process share. */
async function createServices(base: Base, stopping: AbortSignal) {
  const { env, config, stateDir, log, target, tracing, spawner, connection } = base;
  const { namespace, dataConverter } = target;
  const client = new Client({ connection, namespace, dataConverter, interceptors: tracing.client });
  const hostId = await hostIdOf(stateDir);
  const chains = createChainWatch(client);
  const recent = new RecentMessages();
  const mirrors = createMirrors({ dir: join(stateDir, 'mirrors'), env, run: spawner.run, log });
  const finder = createRegistryFinder({ dir: join(stateDir, 'registries'), env, log, run: spawner.run });
  const sandboxes = await createSandboxes({
    config: { ...config.sandbox, registryTokens: trustedRegistries(config) },
    stateDir,
    env,
    mirrors,
    client,
    chains,
    hostQueue: hostQueue(config.taskQueue, hostId),
    processes: spawner,
    finder,
    log,
  });
  const llm = createLlm(base, { client, hostId, chains, recent, stopping });
  const github = createGitHub({ config: config.github, env, log });
  return { client, hostId, chains, recent, mirrors, finder, sandboxes, llm, github };
}

/** The models, how they are asked, and who hears that they are waited for. */
function createLlm(
  { endpoints, unreachable, config, stateDir, log, meter }: Base,
  shared: { client: Client; hostId: string; chains: ChainWatch; recent: RecentMessages; stopping: AbortSignal },
) {
  const { client, hostId, chains, recent, stopping } = shared;
  const metrics = createLlmMetrics(meter);
  const waits = createWaitNews({
    worker: `${hostId}/${process.pid}`,
    tell: async ({ workflowId, firstRunId }, news) =>
      await client.workflow
        .getHandle(workflowId, undefined, { firstExecutionRunId: firstRunId })
        .signal(modelWaitSignal, news),
    toldAfterMs: config.llm.tellWaitSeconds * 1_000,
    log,
  });
  const models = createModels({ endpoints, unreachable, config: config.llm, log, metrics, waits });
  const think = createThinker({
    endpoints,
    models,
    journalDir: join(stateDir, 'journal'),
    transcript: createTranscriptSource(client),
    chains,
    config: config.llm,
    recent,
    stopping,
    log,
  });
  return { metrics, waits, models, think };
}

type ActivitiesByQueue = ReturnType<typeof composeActivities>;

/**
 * The activities of each of the four Temporal workers.
 *
 * `recent` holds the last few messages of each conversation, so an activity must not add one twice. `think` adds its
 * answer, and the messages that it is given beside the transcript. So the activities that end with a call of the model
 * (`briefAndThink`, `actAndThink`) are made of the plain briefs and the plain `act`. The ones that a workflow calls by
 * themselves add their messages: those are the remembered ones.
 */
function composeActivities(base: Base, services: Services) {
  const { env, config, stateDir, log } = base;
  const { client, chains, recent, mirrors, finder, sandboxes, llm, github } = services;
  const { models, think } = llm;
  const { taskQueue } = config;
  const promptsDir = fileURLToPath(new URL('../prompts', import.meta.url));
  const sandboxUnsafe = sandboxes.unsafe;
  const plain = {
    run: withHeartbeats(
      createRunActivities({ mirrors, client, config, promptsDir, sandboxUnsafe, github, finder, log }),
    ),
    sandbox: sandboxes.activities,
  };
  const remembered = remembering(recent, plain);
  return {
    workflows: {
      ...remembered.run,
      think,
      ...createOpeningActivities({ run: plain.run, think, journalDir: join(stateDir, 'briefs'), log }),
      ...createNotify({ webhook: webhookOf(env), log }),
      ...createMergeActivities({ mirrors, client, taskQueue, log }),
      ...createDeliverActivities({ github, mirrors, render: renderReport }),
      ...withHeartbeats(createSweepActivities({ mirrors, promptsDir, network: config.sandbox.network, log })),
    },
    leases: { holdSandbox: plain.sandbox.holdSandbox },
    reservedLeases: {
      holdSandbox: sandboxes.reserved.holdSandbox,
      ...createCheckActivities({ mirrors, scratch: sandboxes.scratch, log }),
    },
    host: {
      ...remembered.sandbox,
      ...createTurnActivities({ act: plain.sandbox.act, think, log }),
      ...createCommandActivities({
        exec: sandboxes.exec,
        models,
        chains,
        inbox: createInboxSource(client, log),
        log,
      }),
    },
  };
}

/** One Temporal worker a queue; none polls yet. */
async function createWorkers(base: Base, hostId: string, activities: ActivitiesByQueue): Promise<Worker[]> {
  const { env, config, stateDir, log, target, tracing, connection } = base;
  const { namespace, dataConverter } = target;
  const { taskQueue, sandbox } = config;
  const common = { connection, namespace, dataConverter, sinks: tracing.sinks, interceptors: tracing.worker };
  const { workflows, leases, host } = workerOptions(config, common, await workflowBundle(env));
  const workflowWorker = guardedAfterTrouble({
    stateDir,
    log,
    traced: tracing.exports,
    thread: config.worker.workflowThread,
  });
  return await Promise.all([
    workflowWorker.create({ ...workflows, taskQueue, activities: activities.workflows }),
    Worker.create({
      ...leases(sandbox.maxSandboxes),
      taskQueue: sandboxQueue(taskQueue),
      activities: activities.leases,
    }),
    Worker.create({
      ...leases(sandbox.reservedSlots),
      taskQueue: reservedQueue(taskQueue),
      activities: activities.reservedLeases,
    }),
    Worker.create({ ...host, taskQueue: hostQueue(taskQueue, hostId), activities: activities.host }),
  ]);
}

type Common = Pick<WorkerOptions, 'connection' | 'namespace' | 'dataConverter' | 'sinks' | 'interceptors'>;

/** How many tasks each kind of Temporal worker takes at once, and how it polls and ends. */
function workerOptions(config: Config, common: Common, bundle: { codePath: string }) {
  const { maxActivities, maxCachedWorkflows, shutdownGraceSeconds } = config.worker;
  // A cancellation arrives with the answer to a heartbeat.
  const beats = { maxHeartbeatThrottleInterval: '200ms', defaultHeartbeatThrottleInterval: '200ms' } as const;
  return {
    workflows: {
      ...common,
      workflowBundle: bundle,
      maxCachedWorkflows,
      maxConcurrentActivityTaskExecutions: maxActivities,
      maxConcurrentWorkflowTaskExecutions: 100,
      workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
      // A dead cache holder would cost its workflows 10 s each.
      stickyQueueScheduleToStartTimeout: '2s',
      // What is paid for is finished.
      shutdownGraceTime: shutdownGraceSeconds * 1_000,
    } satisfies Omit<WorkerOptions, 'taskQueue'>,
    leases: (slots: number) =>
      ({
        ...common,
        ...beats,
        maxConcurrentActivityTaskExecutions: slots,
        activityTaskPollerBehavior: { type: 'simple-maximum', maximum: Math.min(slots, 5) },
        shutdownGraceTime: 0,
      }) satisfies Omit<WorkerOptions, 'taskQueue'>,
    // Adopted leases are held here too, beside the tools of all sandboxes.
    host: {
      ...common,
      ...beats,
      maxConcurrentActivityTaskExecutions: 3 * (config.sandbox.maxSandboxes + config.sandbox.reservedSlots) + 20,
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
      shutdownGraceTime: 0,
    } satisfies Omit<WorkerOptions, 'taskQueue'>,
  };
}

/** For so long after a workflow did not come to an end, calls into workflows are guarded. */
const TROUBLE_MS = 24 * 3_600_000;

function guardedAfterTrouble(options: {
  stateDir: string;
  log: Log;
  traced: boolean;
  thread: Config['worker']['workflowThread'];
}): typeof Worker {
  const { stateDir, log, traced, thread } = options;
  const file = join(stateDir, 'endless-workflow');
  const since = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return lookoutWorker({
    guarded: thread === 'sdk' || Date.now() - since < TROUBLE_MS,
    traced,
    onEndless(workflow) {
      log.error(workflow, 'this worker ends, as one of its workflows does not; the next one cuts such workflows off');
      writeFileSync(file, `${JSON.stringify(workflow)}\n`);
      // Its thread cannot be stopped otherwise: shutting down would wait for it.
      process.exit(1);
    },
  });
}

/** All run, or none: the first that ends for any other reason than `signal` shuts the others down. */
async function runAll(workers: readonly Worker[], signal: AbortSignal, onReady: () => void): Promise<void> {
  const shutDown = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const running = workers.map((worker) => worker.run());
  for (const ended of running) void ended.then(shutDown, shutDown);
  if (signal.aborted) shutDown();
  else signal.addEventListener('abort', shutDown, { once: true });
  onReady();
  const ends = await Promise.allSettled(running);
  signal.removeEventListener('abort', shutDown);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Names this host's queue: the same after a restart, so that a lease on its sandboxes can be adopted. */
async function hostIdOf(stateDir: string): Promise<string> {
  const file = join(stateDir, 'host-id');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = randomBytes(6).toString('hex');
  await writeFile(file, `${id}\n`, { flag: 'wx', mode: 0o600 });
  return id;
}
