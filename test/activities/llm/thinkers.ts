/** Workers with `think` and nothing else, as processes of their own, and the model servers that they ask. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { expect, vi } from 'vitest';
import { OwnServer } from '../../support/own-server.ts';
import { type LlmServer, startLlmServer } from '../../support/llm-server.ts';
import { KEY } from './support.ts';

export type Started = { child: ChildProcess; said: string[] };

export type ThinkerSettings = { llm: LlmServer; address: string; taskQueue: string; journal: string; dies?: boolean };

export const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 20_000, interval: 50 });

export class Thinkers {
  readonly folder: string;
  readonly #codePath: string;
  readonly #children: ChildProcess[] = [];
  readonly #servers: LlmServer[] = [];

  private constructor(folder: string, codePath: string) {
    this.folder = folder;
    this.#codePath = codePath;
  }

  static async open(): Promise<Thinkers> {
    const folder = await mkdtemp(join(tmpdir(), 'think-'));
    const workflowsPath = fileURLToPath(new URL('./fixture/workflows.ts', import.meta.url));
    const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
    const codePath = join(folder, 'bundle.js');
    await writeFile(codePath, code);
    return new Thinkers(folder, codePath);
  }

  async close(): Promise<void> {
    for (const child of this.#children) await ended(child, 'SIGKILL');
    for (const server of this.#servers) await server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async serve(answer: LlmServer['answer']): Promise<LlmServer> {
    const server = await startLlmServer({ answer });
    this.#servers.push(server);
    return server;
  }

  /** Polls when it resolves. */
  async startWorker(options: ThinkerSettings): Promise<Started> {
    const { llm, address, taskQueue, journal, dies = false } = options;
    const journalDir = join(this.folder, journal);
    const settings = { address, taskQueue, codePath: this.#codePath, journalDir, dieAfterJournal: dies };
    const script = fileURLToPath(new URL('./fixture/worker.ts', import.meta.url));
    const child = spawn(process.execPath, [script, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        OPENAI_API_KEY: KEY,
        OPENAI_BASE_URL: llm.openaiUrl,
        OPENAI_MODEL: 'model-a',
        LLM_ENDPOINTS: '',
      },
    });
    this.#children.push(child);
    const said: string[] = [];
    child.stdout.on('data', (data: Buffer) => said.push(...data.toString().split('\n').filter(Boolean)));
    child.stderr.on('data', (data: Buffer) => said.push(`stderr: ${data.toString()}`));
    await until(() => expect(said.join('\n')).toContain('ready'));
    return { child, said };
  }
}

export async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = new Promise((resolve) => child.once('exit', resolve));
    if (signal !== undefined) child.kill(signal);
    await exit;
  }
  return child.signalCode ?? child.exitCode;
}

export const startPondering = (client: Client, taskQueue: string, turns = 1): Promise<WorkflowHandle> =>
  client.workflow.start('ponder', { taskQueue, workflowId: `ponder-${randomUUID()}`, args: [turns] });

export const keysOf = (llm: LlmServer): (string | undefined)[] => llm.requests.map((request) => request.idempotencyKey);

/**
 * The Temporal server is down for `downMs` while calls run; they end before, in and after that time. Each has two
 * turns. Gives the requests that were made, and checks that all workflows end with both answers.
 */
export async function outageOfServer(thinkers: Thinkers, downMs: number): Promise<LlmServer> {
  const delays = [0.05, 0.3, 0.6, 0.9, 1.05, 1.2].map((part) => part * downMs);
  const llm = await thinkers.serve(({ idempotencyKey }) => ({
    text: `answer to ${idempotencyKey}`,
    delayMs: llm.requests.length <= delays.length ? (delays[llm.requests.length - 1] ?? 0) : 0,
  }));
  const server = await OwnServer.start(thinkers.folder);
  const taskQueue = `down-${randomUUID()}`;
  try {
    const { child, said } = await thinkers.startWorker({ llm, address: server.address, taskQueue, journal: 'down' });
    const handles = await Promise.all(delays.map(() => startPondering(server.client, taskQueue, 2)));
    await until(() => expect(llm.requests.length).toBe(delays.length));
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, downMs));
    // Most of them were answered while nobody could be told.
    expect(said.filter((line) => line === 'LLM call').length).toBeGreaterThanOrEqual(3);
    await server.restart();
    for (const { workflowId } of handles) {
      const handle = server.client.workflow.getHandle(workflowId);
      const { firstExecutionRunId } = await handle.describe().then(({ raw }) => ({
        firstExecutionRunId: raw.workflowExecutionInfo?.firstRunId,
      }));
      const key = `${workflowId}/${firstExecutionRunId}`;
      expect(await handle.result()).toEqual([`answer to ${key}/1`, `answer to ${key}/2`]);
    }
    await ended(child, 'SIGKILL');
    return llm;
  } finally {
    await server.stop();
  }
}
