/**
 * What all test files share is started by the first that asks for it, through a small server on loopback: files
 * run in processes of their own, and a run of pure tests needs no Temporal server.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { findServer } from '../../infra/temporal/find.mjs';
import { type RunningServer, startServer } from '../../infra/temporal/start.ts';
import { workflowBundle } from '../../src/host/workflow-source.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `GET <this>/temporal` and `GET <this>/workflow-bundle`. */
    sharedServices: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'agentswarm-tests-'));
  let server: Promise<RunningServer> | undefined;
  let bundle: Promise<{ codePath: string }> | undefined;

  const services: Record<string, () => Promise<string>> = {
    '/temporal': async () => (await (server ??= startTemporal(folder))).address,
    '/workflow-bundle': async () => (await (bundle ??= workflowBundle(process.env))).codePath,
  };
  const broker = createServer((request, response) => void answer(services[request.url ?? ''], response));
  await new Promise<void>((resolve) => broker.listen(0, '127.0.0.1', resolve));
  project.provide('sharedServices', `http://127.0.0.1:${(broker.address() as AddressInfo).port}`);

  return async () => {
    broker.closeAllConnections();
    broker.close();
    await server?.then((running) => running.stop()).catch(() => undefined); // it said so to whoever asked for it
    await rm(folder, { recursive: true, force: true });
  };
}

async function answer(service: (() => Promise<string>) | undefined, response: ServerResponse): Promise<void> {
  try {
    if (service === undefined) response.writeHead(404).end('no such service');
    else response.end(await service());
  } catch (error) {
    response.writeHead(500).end((error as Error).stack);
  }
}

async function startTemporal(folder: string): Promise<RunningServer> {
  const { file } = await findServer({ say: (line) => process.stderr.write(`Temporal server: ${line}\n`) });
  return startServer({ binary: file, uiPort: null, logFile: join(folder, 'temporal.log'), namespace: 'default' });
}
