/** A real provider with network rules, in which every name outside leads to this machine. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLocalProvider } from '../../../../src/activities/sandbox/local/provider.ts';
import type { ExecOptions } from '../../../../src/activities/sandbox/provider.ts';
import { Config } from '../../../../src/shared/config/worker-config.ts';
import { createTestLog } from '../../../support/log.ts';
import { temporaryFolder } from '../../../support/repos.ts';

export async function networkHost(options: {
  network?: Config['sandbox']['network'];
  registryTokens?: Record<string, string[]>;
  env?: Record<string, string>;
  ca?: string;
  /** Names below `.test` lead to 127.0.0.1, others to nothing, unless given. */
  resolve?: (host: string) => Promise<{ address: string; family: number }[]>;
}) {
  const folder = temporaryFolder('agentswarm-network-with-a-state-folder-that-is-far-down-');
  mkdirSync(join(folder.dir, 'objects'));
  const log = createTestLog();
  const config = Config.parse({ sandbox: { network: options.network ?? 'none' } }).sandbox;
  const resolveTest = (host: string) =>
    Promise.resolve(host.endsWith('.test') ? [{ address: '127.0.0.1', family: 4 }] : []);
  const provider = await createLocalProvider({
    stateDir: join(folder.dir, 'state'),
    limits: config.limits,
    unsafe: false,
    env: { ...process.env, ...options.env },
    log,
    network: {
      network: config.network,
      privateAddresses: ['127.0.0.1'],
      registryTokens: options.registryTokens ?? {},
      resolve: options.resolve ?? resolveTest,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    },
  });
  let count = 0;
  return {
    provider,
    log,
    stateDir: join(folder.dir, 'state'),
    async create(kind: 'sb' | 'setup' = 'sb') {
      const id = `${kind}-${++count}`;
      await provider.create({ id, objects: join(folder.dir, 'objects') });
      return id;
    },
    /** Output of a bash command with both streams, and what was refused. */
    async bash(id: string, command: string, more: Partial<ExecOptions> = {}) {
      const { stdout, exitCode, stderr, refused } = await provider.exec(id, ['/bin/bash', '-c', command], {
        timeoutMs: 60_000,
        combine: true,
        network: config.network,
        ...more,
      });
      return { output: stdout.toString(), exitCode, stderr, refused: refused ?? [] };
    },
    async close() {
      for (const id of await provider.list()) await provider.terminate(id);
      folder.remove();
    },
  };
}
export type NetworkHost = Awaited<ReturnType<typeof networkHost>>;
