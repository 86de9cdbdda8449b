/** "Paid once" on a real server, with workers that are processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { findServer } from '../../../infra/temporal/find.mjs';
import { startServer } from '../../../infra/temporal/start.ts';
import { type LlmServer, startLlmServer } from '../../support/llm-server.ts';
import { temporal } from '../../support/temporal.ts';
import { KEY } from './support.ts';

let folder: string;
let codePath: string;
const children: ChildProcess[] = [];
const servers: LlmServer[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'think-'));
  const workflowsPath = fileURLToPath(new URL('./fixture/workflows.ts', import.meta.url));
  const { code } = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  codePath = join(folder, 'bundle.js');
  await writeFile(codePath, code);
});
afterAll(async () => {
  for (const child of children) await ended(child, 'SIGKILL');
  for (const server of servers) await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function serve(answer: LlmServer['answer']): Promise<LlmServer> {
  const server = await startLlmServer({ answer });
  servers.push(server);
  return server;
}

const until = (holds: () => void): Promise<void> => vi.waitFor(holds, { timeout: 20_000, interval: 50 });

type Started = { child: ChildProcess; said: string[] };

type WorkerSettings = { llm: LlmServer; address: string; taskQueue: string; journal: string; dies?: boolean };

async function startWorker(options: WorkerSettings): Promise<Started> {
  const { llm, address, taskQueue, journal, dies = false } = options;
  const settings = { address, taskQueue, codePath, journalDir: join(folder, journal), dieAfterJournal: dies };
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
  children.push(child);
  const said: string[] = [];
  child.stdout.on('data', (data: Buffer) => said.push(...data.toString().split('\n').filter(Boolean)));
  child.stderr.on('data', (data: Buffer) => said.push(`stderr: ${data.toString()}`));
  await until(() => expect(said.join('\n')).toContain('ready'));
  return { child, said };
}

async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = new Promise((resolve) => child.once('exit', resolve));
    if (signal !== undefined) child.kill(signal);
    await exit;
  }
  return child.signalCode ?? child.exitCode;
}

const start = (client: Client, taskQueue: string, turns = 1) =>
  client.workflow.start('ponder', { taskQueue, workflowId: `ponder-${randomUUID()}`, args: [turns] });

const keys = (llm: LlmServer): (string | undefined)[] => llm.requests.map((request) => request.idempotencyKey);

// Most of it is waiting: for heartbeats to time out, for a server to be down.
describe.concurrent('paid once', { timeout: 90_000 }, () => {
  test('a worker that is killed after an answer was journalled, and before it was reported, has paid once', async () => {
    const llm = await serve(() => ({ text: 'paid for' }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await startWorker({ llm, address, taskQueue, journal: 'kill', dies: true });
    const handle = await start(await client(), taskQueue);
    expect(await ended(first.child)).toBe('SIGKILL');
    const second = await startWorker({ llm, address, taskQueue, journal: 'kill' });
    expect(await handle.result()).toEqual(['paid for']);
    expect(second.said).toContain('LLM answer taken from the journal: not asked again');
    expect(keys(llm)).toEqual([expect.stringMatching(new RegExp(`^${handle.workflowId}/.+/1$`))]);
  });

  test('without the journal the same kill is paid for twice: that is what the journal is for', async () => {
    const llm = await serve(() => ({ text: 'paid for' }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await startWorker({ llm, address, taskQueue, journal: 'lost-1', dies: true });
    const handle = await start(await client(), taskQueue);
    await ended(first.child);
    await startWorker({ llm, address, taskQueue, journal: 'lost-2' });
    expect(await handle.result()).toEqual(['paid for']);
    expect(new Set(keys(llm)).size).toBe(1);
    expect(keys(llm)).toHaveLength(2);
  });

  test('a conversation of several turns sends each message once more than before, all of them from history', async () => {
    const llm = await serve(() => ({ text: `answer ${llm.requests.length}` }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    await startWorker({ llm, address, taskQueue, journal: 'turns' });
    const handle = await start(await client(), taskQueue, 4);
    expect(await handle.result()).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4']);
    const texts = llm.requests.map(({ body }) => (body['messages'] as { content: string }[]).map((m) => m.content));
    expect(texts.map((list) => list.length)).toEqual([2, 4, 6, 8]);
    expect(texts[3]).toEqual([...(texts[2] ?? []), 'answer 3', 'Go on after 3.']);
  });

  test('a worker that is asked to stop finishes the call that is on the wire and reports it', async () => {
    const llm = await serve(() => ({ text: 'finished', delayMs: 3_000 }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await startWorker({ llm, address, taskQueue, journal: 'stop-1' });
    const handle = await start(await client(), taskQueue);
    await until(() => expect(llm.requests.length).toBe(1));
    expect(await ended(first.child, 'SIGTERM')).toBe(0);
    await startWorker({ llm, address, taskQueue, journal: 'stop-2' });
    expect(await handle.result()).toEqual(['finished']);
    expect(llm.requests.map((request) => request.outcome)).toEqual(['answered']);
  });

  test('a cancellation that a workflow asks for closes the request, and the workflow goes on at once', async () => {
    const llm = await serve(() => ({ text: 'never', delayMs: 60_000 }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    await startWorker({ llm, address, taskQueue, journal: 'cancel' });
    const handle = await start(await client(), taskQueue);
    await until(() => expect(llm.requests.length).toBe(1));
    await handle.signal('stop');
    expect(await handle.result()).toEqual(['cancelled']);
    await until(() => expect(llm.requests[0]?.outcome).toBe('client-closed'));
    expect(llm.requests).toHaveLength(1);
  });

  test('a server that is down when the answer comes, for longer than a heartbeat, costs no second call', async () => {
    const llm = await serve(() => ({ text: 'survived', delayMs: 2_000 }));
    const { file } = await findServer();
    const options = { binary: file, dbFile: join(folder, 'server.db'), uiPort: null, namespace: 'default' };
    const before = await startServer({ ...options, logFile: join(folder, 'server-1.log') });
    const taskQueue = `down-${randomUUID()}`;
    const worker = await startWorker({ llm, address: before.address, taskQueue, journal: 'down' });
    let connection = await Connection.connect({ address: before.address });
    const { workflowId } = await start(new Client({ connection }), taskQueue);
    await until(() => expect(llm.requests.length).toBe(1));
    await connection.close();
    process.kill(-before.pid, 'SIGKILL');
    await before.ended;
    await until(() => expect(worker.said).toContain('LLM call'));
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    const after = await startServer({ ...options, port: before.port, logFile: join(folder, 'server-2.log') });
    try {
      connection = await Connection.connect({ address: after.address });
      expect(await new Client({ connection }).workflow.getHandle(workflowId).result()).toEqual(['survived']);
      expect(llm.requests).toHaveLength(1);
      await connection.close();
      await ended(worker.child, 'SIGKILL');
    } finally {
      await after.stop();
    }
  });
});
