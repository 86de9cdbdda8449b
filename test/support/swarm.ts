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
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import type { ConfigInput } from '../../src/shared/config.ts';
import type { PlannerInput, RunReport } from '../../src/shared/contracts/run.ts';
import type { RunSnapshot } from '../../src/shared/contracts/snapshot.ts';
import { snapshotQuery } from '../../src/shared/messages.ts';
import { temporaryFolder } from './repos.ts';

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
  /** A given endpoint list instead of the scripted model's. */
  endpoints?: string;
};

export class Swarm {
  readonly dir: string;
  readonly stateDir: string;
  readonly model: ScriptedModel;
  private readonly options: SwarmOptions;
  private readonly removeDir: () => void;
  private worker: ChildProcess | undefined;

  private constructor(options: SwarmOptions, model: ScriptedModel, folder: ReturnType<typeof temporaryFolder>) {
    this.options = options;
    this.model = model;
    this.dir = folder.dir;
    this.removeDir = folder.remove;
    this.stateDir = join(folder.dir, 'state');
    mkdirSync(this.stateDir);
  }

  static async start(options: SwarmOptions): Promise<Swarm> {
    const model = await startScriptedModel({
      script: options.script,
      latencyMs: options.latencyMs ?? 0,
      ...(options.apiKey === undefined ? {} : { apiKey: options.apiKey }),
    });
    const swarm = new Swarm(options, model, temporaryFolder());
    await swarm.startWorker();
    return swarm;
  }

  get logFile(): string {
    return join(this.dir, 'worker.log');
  }

  /** Resolves when it polls; rejects with what it said when it ends before. */
  async startWorker(): Promise<void> {
    const { address, taskQueue, config, env, apiKey, endpoints } = this.options;
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
              provider: 'openai',
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
    return this.options.client.workflow.start('planner', {
      workflowId: runId,
      taskQueue: this.options.taskQueue,
      args: [input],
    });
  }

  async run(runId: string, input: PlannerInput): Promise<RunReport> {
    return (await (await this.start(runId, input)).result()) as RunReport;
  }

  /** Polls the run's snapshot until the condition holds; throws with the last one when it does not in time. */
  async until(runId: string, holds: (snapshot: RunSnapshot) => boolean, timeoutMs = 60_000): Promise<RunSnapshot> {
    const handle = this.options.client.workflow.getHandle(runId);
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
    return (await this.options.client.workflow.getHandle(workflowId).describe()).status.name;
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
    const query = `ExecutionStatus = 'Running' AND TaskQueue = '${this.options.taskQueue}'`;
    for await (const { workflowId } of this.options.client.workflow.list({ query })) open.push(workflowId);
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

  async stop(): Promise<void> {
    await this.endWorker('SIGTERM');
    await this.model.stop();
    this.removeDir();
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
