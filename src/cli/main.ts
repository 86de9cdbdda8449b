/** The process `agentswarm`: gives the command its real dependencies. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { findServer, knownServer } from '../../infra/temporal/find.mjs';
import { startServer } from '../../infra/temporal/start.ts';
import type { Dependencies } from './dependencies.ts';
import { exitWhenWritten } from './io.ts';
import { runCli } from './program.ts';
import { cliText } from './text.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const version = (): string => {
  const file = new URL('../../package.json', import.meta.url);
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
};

const dependencies: Dependencies = {
  version: version(),
  findServer: async (say) => (await findServer({ say })).file,
  startServer,
  async preflight({ config, env }) {
    // The models' packages take half of the time to start, and most commands have no use for them.
    const { checkIsolation, checkModels } = await import('../doctor/preflight.ts');
    const isolation = await checkIsolation({ config, env });
    const { endpoints, unreachable, warnings } = await checkModels({ config, env, log: quiet });
    const names = endpoints.map(({ name }) => name);
    return {
      ready: names.every((name) => unreachable.has(name))
        ? cliText.endpointsAway(names)
        : cliText.endpointsReady(names),
      warnings: [...isolation.warnings, ...warnings],
    };
  },
  async examine(request) {
    const { examine } = await import('../doctor/index.ts');
    return await examine({ ...request, findServer: () => knownServer({ env: request.env }) });
  },
  readGreen: async (request) => (await import('../doctor/green.ts')).readGreen(request),
  findStuck: async (client, of) => (await import('../doctor/stuck.ts')).findStuck(client, of),
  // Loading it takes seconds: only for the process that is the worker.
  runWorker: async (request) => (await import('../worker.ts')).runWorker(request),
  self: [process.execPath, fileURLToPath(import.meta.url)],
};

// A reader that has gone (`| head`, a closed terminal) is no reason to leave server and worker behind.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const exitCode = await runCli(
  process.argv.slice(2),
  { stdout: process.stdout, stderr: process.stderr, cwd: process.cwd(), env: process.env },
  dependencies,
);
await exitWhenWritten(exitCode);
