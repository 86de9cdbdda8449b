import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findServer } from '../../../infra/temporal/find.mjs';
import { type RunningServer, startServer, type StartServerOptions } from '../../../infra/temporal/start.ts';

let folder: string;
const running: RunningServer[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'start-'))));
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<StartServerOptions> = {}): Promise<RunningServer> {
  const { file } = await findServer();
  const server = await startServer({
    binary: file,
    uiPort: null,
    logFile: join(folder, 'log', 'temporal.log'),
    namespace: 'default',
    ...options,
  });
  running.push(server);
  return server;
}

async function withClient<T>(server: RunningServer, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address: server.address });
  try {
    return await work(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

test('a workflow outlives a killed server, on the same port, from the same file', async () => {
  const dbFile = join(folder, 'state', 'temporal.db');
  const first = await start({ dbFile });
  await withClient(first, (client) =>
    client.workflow.start('any', { taskQueue: 'nobody', workflowId: 'survivor', args: [] }),
  );
  process.kill(-first.pid, 'SIGKILL');
  expect(await first.ended).toEqual({ code: null, signal: 'SIGKILL' });
  const second = await start({ dbFile, port: first.port });
  expect(second.address).toBe(first.address);
  const status = await withClient(second, async (client) => {
    return (await client.workflow.getHandle('survivor').describe()).status.name;
  });
  expect(status).toBe('RUNNING');
});

test('a namespace of its own keeps histories for 30 days', async () => {
  const server = await start({ namespace: 'swarm' });
  const seconds = await withClient(server, async ({ workflowService }) => {
    const { config } = await workflowService.describeNamespace({ namespace: 'swarm' });
    return Number(config?.workflowExecutionRetentionTtl?.seconds);
  });
  expect(seconds).toBe(30 * 24 * 3_600);
});

test('the Web UI answers where it is said to be', async () => {
  const server = await start({ uiPort: undefined });
  expect((await fetch(`${server.uiUrl}/`)).status).toBe(200);
});

test('a port that is taken is said before anything starts', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  try {
    await expect(start({ port })).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken by another process`);
  } finally {
    other.close();
  }
});

test('a server that dies at once is reported with the end of its log', async () => {
  await expect(start({ binary: '/bin/ls' })).rejects.toThrow(/ended with code 2[\s\S]*The end of its log[\s\S]*ls: /);
});

test('a file that is not there is reported as such', async () => {
  await expect(start({ binary: join(folder, 'temporal') })).rejects.toThrow(/could not be run/);
});

test('stop ends it, twice is no error, and its address is free again', async () => {
  const server = await start();
  await Promise.all([server.stop(), server.stop()]);
  expect(() => process.kill(server.pid, 0)).toThrow('ESRCH');
  await start({ port: server.port });
});

test('no key of ours is in the environment of the server', async () => {
  process.env.CANARY_API_KEY = 'sk-canary-in-the-environment';
  try {
    const server = await start();
    const environment = await readFile(`/proc/${server.pid}/environ`, 'utf8');
    expect(environment).toContain('GOGC=400');
    expect(environment).not.toContain('canary');
  } finally {
    delete process.env.CANARY_API_KEY;
  }
});
