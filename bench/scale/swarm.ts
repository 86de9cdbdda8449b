/**
 * The product as a process on a server of its own, with a scripted model, in a folder that can be taken up again.
 * Its sandboxes isolate nothing: bubblewrap is not on the PATH of its worker, and `sandbox.unsafe` lets it go on.
 */
import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { Script } from '../../examples/scripted-model/conversation.ts';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import { findServer } from '../../infra/temporal/find.mjs';
import { startServer } from '../../infra/temporal/start.ts';
import type { ConfigInput } from '../../src/shared/config/worker-config.ts';
import { childrenOf, cpuSeconds, start, stop } from '../overhead/processes.ts';

/** CPU seconds so far. */
export type Cpu = { server: number; worker: number; tools: number };

export type BenchSwarm = {
  client: Client;
  origin: string;
  model: ScriptedModel;
  used(): Cpu;
  stop(): Promise<void>;
};

export const NOT_ISOLATED = 'Sandboxes are folders without isolation: what is measured is the rest.';

/** `price` in USD per million tokens. A `dir` of an earlier time goes on where it was. */
export async function startSwarm(options: {
  dir: string;
  script: Script;
  sandboxes: number;
  files: ReadonlyMap<string, string>;
  latencyMs?: number;
  price?: { input: number; output: number };
}): Promise<BenchSwarm> {
  const { dir, script, sandboxes, files, latencyMs = 0, price } = options;
  mkdirSync(dir, { recursive: true });
  const origin = makeOrigin(dir, files);
  const { file: binary } = await findServer({ say: (text: string) => console.error(text) });
  const server = await startServer({
    binary,
    dbFile: join(dir, 'temporal.db'),
    uiPort: null,
    logFile: join(dir, 'server.log'),
    namespace: 'default',
  });
  const model = await startScriptedModel({ script, latencyMs });
  const configFile = join(dir, 'temporal.config.mjs');
  const config: ConfigInput = { sandbox: { maxSandboxes: sandboxes, unsafe: true } };
  writeFileSync(configFile, `export default ${JSON.stringify(config)};\n`);
  const endpoint = { name: 'scripted', provider: 'openai', baseUrl: `${model.url}/v1`, apiKey: 'bench-key' };
  const env = {
    ...process.env,
    PATH: pathWithoutBubblewrap(dir),
    TEMPORAL_ADDRESS: server.address,
    AGENTSWARM_LOG_LEVEL: 'error',
    LLM_ENDPOINTS: JSON.stringify([
      { ...endpoint, models: { default: 'scripted-1' }, ...(price === undefined ? {} : { price }) },
    ]),
  };
  const argv = ['worker', '--config', configFile, '--state-dir', join(dir, 'state')];
  const { child } = await start(new URL('../../src/cli/main.ts', import.meta.url), argv, env);
  const connection = await Connection.connect({ address: server.address });
  return {
    client: new Client({ connection }),
    origin,
    model,
    used: () => used(server.pid, child),
    async stop() {
      await connection.close();
      child.kill('SIGTERM');
      await stop(child);
      await model.stop();
      await server.stop();
    },
  };
}

function used(serverPid: number, { pid = 0 }: ChildProcess): Cpu {
  const worker = cpuSeconds(pid);
  // The process that starts commands, and the commands that it has waited for.
  const spawners = childrenOf(pid).map(cpuSeconds);
  const tools = spawners.reduce((sum, { own, children }) => sum + own + children, worker.children);
  return { server: cpuSeconds(serverPid).own, worker: worker.own, tools };
}

function makeOrigin(dir: string, files: ReadonlyMap<string, string>): string {
  const origin = join(dir, 'origin.git');
  if (existsSync(origin)) return origin;
  const work = join(dir, 'work');
  for (const [path, text] of files) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text);
  }
  const who = ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost'];
  const git = (...argv: string[]) => execFileSync('git', [...who, ...argv], { cwd: work, stdio: 'ignore' });
  git('init', '-b', 'main');
  git('add', '.');
  git('commit', '-m', 'Start');
  git('clone', '--bare', work, origin);
  return origin;
}

/** A folder of links to every program of the system but bubblewrap, and Node's own folder. */
function pathWithoutBubblewrap(dir: string): string {
  const folder = join(dir, 'bin');
  if (!existsSync(folder)) {
    mkdirSync(folder);
    for (const from of ['/usr/bin', '/bin', '/usr/sbin']) {
      for (const name of readdirSync(from)) {
        if (name !== 'bwrap' && !existsSync(join(folder, name))) symlinkSync(join(from, name), join(folder, name));
      }
    }
  }
  return `${dirname(process.execPath)}:${folder}`;
}
