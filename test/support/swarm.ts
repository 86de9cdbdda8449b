/**
 * The real thing for end-to-end tests: a worker process, a scripted model over HTTP, a bare repository, and
 * the tests' shared Temporal server (or one of the test's own, to be killed), on a task queue of its own.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { Script } from '../../examples/scripted-model/conversation.ts';
import type { LoggedRequest } from '../../examples/scripted-model/request-log.ts';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import type { ConfigInput } from '../../src/shared/config/worker-config.ts';
import type { PlannerInput, RunReport } from '../../src/shared/contracts/run.ts';
import type { RunSnapshot } from '../../src/shared/contracts/snapshot.ts';
import type { TaskResult } from '../../src/shared/contracts/task.ts';
import { snapshotQuery } from '../../src/shared/messages.ts';
import { bareRepository, temporaryFolder, type TestFiles } from './repos.ts';
import { specOf } from './scenarios.ts';

const MAIN = new URL('../../src/cli/main.ts', import.meta.url);

export type SwarmOptions = {
  client: Client;
  /** host:port of the server that the worker connects to. */
  address: string;
  taskQueue: string;
  script: Script;
  latencyMs?: number;
  config?: ConfigInput;
  /** More variables for the worker. */
  env?: NodeJS.ProcessEnv;
  /** Instead of a key made up: the model checks it. */
  apiKey?: string;
  /** Which of its protocols the scripted model is asked in. Default: openai. */
  provider?: 'openai' | 'anthropic';
  /** A given endpoint list instead of the scripted model's. */
  endpoints?: string;
};

type ScenarioInput = Partial<PlannerInput> & { files?: TestFiles };

export class Swarm {
  private own: { options: SwarmOptions; model: ScriptedModel; folder: ReturnType<typeof temporaryFolder> } | undefined;
  private worker: ChildProcess | undefined;

  /** Rejects where its worker does not start: then nothing is left of it. */
  static async start(options: SwarmOptions): Promise<Swarm> {
    const swarm = new Swarm();
    try {
      await swarm.begin(options);
    } catch (error) {
      await swarm.stop();
      throw error;
    }
    return swarm;
  }

  /** Its model, its folder and its worker. Nothing else can be had of it before. */
  async begin(options: SwarmOptions): Promise<void> {
    const model = await startScriptedModel({
      script: options.script,
      latencyMs: options.latencyMs ?? 0,
      ...(options.apiKey === undefined ? {} : { apiKey: options.apiKey }),
    });
    this.own = { options, model, folder: temporaryFolder() };
    mkdirSync(this.stateDir);
    await this.startWorker();
  }

  private get begun() {
    if (this.own === undefined) throw new Error('the swarm has not begun: that is done before the first test');
    return this.own;
  }

  get dir(): string {
    return this.begun.folder.dir;
  }

  get stateDir(): string {
    return join(this.dir, 'state');
  }

  get model(): ScriptedModel {
    return this.begun.model;
  }

  get client(): Client {
    return this.begun.options.client;
  }

  get address(): string {
    return this.begun.options.address;
  }

  get taskQueue(): string {
    return this.begun.options.taskQueue;
  }

  get logFile(): string {
    return join(this.dir, 'worker.log');
  }

  /** Resolves when it polls; rejects with what it said when it ends before. */
  async startWorker(): Promise<void> {
    const { address, taskQueue, config, env, apiKey, endpoints, provider = 'openai' } = this.begun.options;
    const configFile = join(this.dir, 'temporal.config.mjs');
    writeFileSync(configFile, `export default ${JSON.stringify({ ...config, taskQueue })};\n`);
    const log = openSync(this.logFile, 'a');
    const child = fork(MAIN, ['worker', '--config', configFile, '--state-dir', this.stateDir], {
      stdio: ['ignore', log, log, 'ipc'],
      env: {
        ...process.env,
        TEMPORAL_ADDRESS: address,
        LLM_ENDPOINTS:
          endpoints ??
          JSON.stringify([
            {
              name: 'scripted',
              provider,
              baseUrl: `${this.model.url}/v1`,
              apiKey: apiKey ?? 'test-key',
              models: { default: 'scripted-1' },
              price: { input: 1, output: 2 },
            },
          ]),
        ...env,
      },
    });
    this.worker = child;
    const messages: { kind?: string; message?: string }[] = [];
    child.on('message', (message) => messages.push(message as { kind?: string }));
    while (!messages.some(({ kind }) => kind === 'ready')) {
      if (child.exitCode !== null || child.signalCode !== null) {
        const said = messages.find(({ kind }) => kind === 'failed')?.message;
        throw new Error(said ?? `the worker ended: ${readFileSync(this.logFile, 'utf8').slice(-2_000)}`);
      }
      await sleep(50);
    }
  }

  get workerPid(): number {
    if (this.worker?.pid === undefined) throw new Error('no worker runs');
    return this.worker.pid;
  }

  async killWorker(): Promise<void> {
    await this.endWorker('SIGKILL');
  }

  start(runId: string, input: PlannerInput): Promise<WorkflowHandle> {
    return this.client.workflow.start('planner', {
      workflowId: runId,
      taskQueue: this.taskQueue,
      args: [input],
    });
  }

  async run(runId: string, input: PlannerInput): Promise<RunReport> {
    return (await (await this.start(runId, input)).result()) as RunReport;
  }

  /** Starts a run of a scenario on `main` of a repository of its own; `more` is laid over that. */
  async startScenario(runId: string, scenario: string, more: ScenarioInput = {}) {
    const { files, ...input } = more;
    const origin = bareRepository(join(this.dir, `${runId}.git`), files);
    const base = origin.tip();
    const handle = await this.start(runId, { repo: origin.dir, spec: specOf(scenario), branch: 'main', ...input });
    return { origin, base, handle };
  }

  /** As `startScenario`, and waits for the run's report. */
  async runScenario(runId: string, scenario: string, more: ScenarioInput = {}) {
    const { handle, ...rest } = await this.startScenario(runId, scenario, more);
    return { ...rest, report: (await handle.result()) as RunReport };
  }

  /** How a task ended, named by its workflow; waits for its end. */
  async resultOf(workflowId: string): Promise<TaskResult> {
    return (await this.client.workflow.getHandle(workflowId).result()) as TaskResult;
  }

  /** What the model was asked for these tasks, oldest first. */
  requests(...tasks: string[]): LoggedRequest[] {
    return this.model.log.filter(({ task }) => task !== null && tasks.includes(task));
  }

  /** Until the model was asked so often for a task. */
  async untilAsked(task: string, times = 1): Promise<void> {
    await this.untilModel(() => this.requests(task).length >= times, `${times} requests of ${task}`);
  }

  /** Until the model is at its n-th answer for a task, which is not given yet. */
  async untilThinking(task: string, n: number): Promise<void> {
    await this.untilModel(() => this.requests(task)[n - 1]?.endedAt === null, `an open request ${n} of ${task}`);
  }

  private async untilModel(holds: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`not seen in ${timeoutMs} ms: ${what}\n${this.logTail()}`);
      await sleep(10);
    }
  }

  /** Polls the run's snapshot until the condition holds; throws with the last one when it does not in time. */
  async until(runId: string, holds: (snapshot: RunSnapshot) => boolean, timeoutMs = 60_000): Promise<RunSnapshot> {
    const handle = this.client.workflow.getHandle(runId);
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const snapshot = await handle.query(snapshotQuery).catch((error: unknown) => error as Error);
      if (!(snapshot instanceof Error) && holds(snapshot)) return snapshot;
      if (Date.now() > deadline) {
        const seen = snapshot instanceof Error ? String(snapshot) : JSON.stringify(snapshot, null, 1);
        throw new Error(`not reached in ${timeoutMs} ms; the run is at ${seen}\n${this.logTail()}`);
      }
      await sleep(200);
    }
  }

  /** The status of a workflow's newest run, as the server names it: RUNNING, COMPLETED, FAILED… */
  async status(workflowId: string): Promise<string> {
    return (await this.client.workflow.getHandle(workflowId).describe()).status.name;
  }

  sandboxes(): string[] {
    try {
      return readdirSync(join(this.stateDir, 'sandboxes'));
    } catch {
      return [];
    }
  }

  /** Workflows of this swarm's queue that are still open. Visibility lags by a moment. */
  async openWorkflows(): Promise<string[]> {
    const open: string[] = [];
    const query = `ExecutionStatus = 'Running' AND TaskQueue = '${this.taskQueue}'`;
    for await (const { workflowId } of this.client.workflow.list({ query })) open.push(workflowId);
    return open;
  }

  /** Waits until no workflow and no sandbox is left; throws naming what is. */
  async settled(timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const left = [...(await this.openWorkflows()), ...this.sandboxes()];
      if (left.length === 0) return;
      if (Date.now() > deadline) throw new Error(`left behind: ${left.join(', ')}\n${this.logTail()}`);
      await sleep(300);
    }
  }

  logTail(chars = 4_000): string {
    return readFileSync(this.logFile, 'utf8').slice(-chars);
  }

  /** Also where it has not begun, or was stopped before. */
  async stop(): Promise<void> {
    await this.endWorker('SIGTERM');
    await this.own?.model.stop();
    this.own?.folder.remove();
  }

  private async endWorker(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { worker } = this;
    if (worker === undefined || worker.exitCode !== null || worker.signalCode !== null) return;
    const ended = once(worker, 'exit');
    worker.kill(signal);
    const overdue = setTimeout(() => worker.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(overdue);
  }
}
