/**
 * What durability and isolation cost: N agents in N sandboxes, T turns each at a fixed model latency with one
 * `bash` call a turn that changes a file, against a bare workflow whose activities only sleep, in the same run.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { findServer } from '../../infra/temporal/find.mjs';
import { type RunningServer, startServer } from '../../infra/temporal/start.ts';
import { snapshotQuery } from '../../src/shared/messages.ts';
import { type Phases, phasesOf } from './phases.ts';
import { cpuSeconds, machineCpuSeconds, start, stop } from './processes.ts';

type Options = { agents: number; turns: number; latencyMs: number; profileDir?: string };
type Cpu = { serverCpu: number; workerCpu: number; modelCpu: number; machineCpu: number };
type Measured = Cpu & { wallMs: number; phases?: Phases };

export async function overhead(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: '100' },
      turns: { type: 'string', default: '20' },
      'latency-ms': { type: 'string', default: '2000' },
      // A folder for CPU profiles of our worker's threads.
      'cpu-prof': { type: 'string' },
    },
  });
  const options = {
    agents: Number(values.agents),
    turns: Number(values.turns),
    latencyMs: Number(values['latency-ms']),
    profileDir: values['cpu-prof'],
  };
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  const found = await findServer({ say: (text: string) => console.error(text) });
  try {
    const bare = await withServer(found.file, join(dir, 'bare'), (server) => measureBare(server, options));
    const ours = await withServer(found.file, join(dir, 'ours'), (server) =>
      measureOurs(server, join(dir, 'ours'), options),
    );
    print(options, bare, ours);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function withServer(binary: string, dir: string, measure: (server: RunningServer) => Promise<Measured>) {
  mkdirSync(dir, { recursive: true });
  const server = await startServer({
    binary,
    dbFile: join(dir, 'temporal.db'),
    uiPort: null,
    logFile: join(dir, 'server.log'),
    namespace: 'default',
  });
  try {
    return await measure(server);
  } finally {
    await server.stop();
  }
}

async function measureBare(server: RunningServer, { agents, turns, latencyMs }: Options): Promise<Measured> {
  const { child } = await start(new URL('./bare-worker.ts', import.meta.url), [server.address, 'bare']);
  const connection = await Connection.connect({ address: server.address });
  try {
    const client = new Client({ connection });
    const before = used(server, child);
    const handle = await client.workflow.start('bareRun', {
      workflowId: 'bare',
      taskQueue: 'bare',
      args: [{ agents, turns, thinkMs: latencyMs }],
    });
    await handle.result();
    const { events } = await handle.fetchHistory();
    const times = (type: string) => timesOf(events ?? [], (event) => event[type as 'eventTime'] != null);
    const wallMs =
      Math.max(...times('childWorkflowExecutionCompletedEventAttributes')) -
      Math.min(...times('startChildWorkflowExecutionInitiatedEventAttributes'));
    return { wallMs, ...difference(used(server, child), before) };
  } finally {
    await connection.close();
    await stop(child);
  }
}

async function measureOurs(server: RunningServer, dir: string, options: Options): Promise<Measured> {
  const { agents, turns, latencyMs } = options;
  const origin = makeOrigin(dir);
  const model = await start(new URL('./model.ts', import.meta.url), [agents, turns, latencyMs].map(String));
  const { url } = model.message as { url: string };
  writeFileSync(
    join(dir, 'temporal.config.mjs'),
    `export default ${JSON.stringify({ sandbox: { maxSandboxes: agents + 4 } })};\n`,
  );
  const env = {
    ...process.env,
    TEMPORAL_ADDRESS: server.address,
    AGENTSWARM_LOG_LEVEL: 'warn',
    ...(options.profileDir === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profileDir}` }),
    LLM_ENDPOINTS: JSON.stringify([
      {
        name: 'scripted',
        provider: 'openai',
        baseUrl: `${url}/v1`,
        apiKey: 'bench-key',
        models: { default: 'scripted-1' },
      },
    ]),
  };
  const worker = await start(
    new URL('../../src/cli/main.ts', import.meta.url),
    ['worker', '--config', join(dir, 'temporal.config.mjs'), '--state-dir', join(dir, 'state')],
    env,
  );
  const connection = await Connection.connect({ address: server.address });
  try {
    const client = new Client({ connection });
    const before = used(server, worker.child, model.child);
    const handle = await client.workflow.start('planner', {
      workflowId: 'bench',
      taskQueue: 'agentswarm',
      args: [{ repo: origin, spec: { text: 'Measure.' }, branch: 'bench', settings: { maxWorkers: agents } }],
    });
    for (let handed = 0; handed < agents; ) {
      // Seldom: each question costs the worker and the server as much as a turn.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const { counts, phase } = await handle.query(snapshotQuery);
      handed = counts.complete + counts.failed + counts.cancelled;
      if (counts.failed > 0) throw new Error(`${counts.failed} tasks failed: the figures would mean nothing.`);
      if (phase === 'done' && handed < agents)
        throw new Error(`The run ended with ${handed} tasks instead of ${agents}.`);
    }
    const after = used(server, worker.child, model.child);
    const { events } = await handle.fetchHistory();
    const begun = timesOf(events ?? [], (event) => event.startChildWorkflowExecutionInitiatedEventAttributes != null);
    const handoffs = timesOf(
      events ?? [],
      (event) => event.workflowExecutionSignaledEventAttributes?.signalName === 'handoff',
    );
    await handle.result();
    const tasks = Array.from({ length: agents }, (_, i) => `bench/task-${i}.1`);
    const phases = await phasesOf(client, tasks);
    return { wallMs: Math.max(...handoffs) - Math.min(...begun), ...difference(after, before), phases };
  } finally {
    await connection.close();
    worker.child.kill('SIGTERM');
    await stop(worker.child);
    await stop(model.child);
  }
}

function makeOrigin(dir: string): string {
  const work = join(dir, 'work');
  const origin = join(dir, 'origin.git');
  mkdirSync(join(work, 'src'), { recursive: true });
  for (let i = 0; i < 60; i++)
    writeFileSync(join(work, 'src', `file-${i}.txt`), `${'line of text\n'.repeat(50)}${i}\n`);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost', ...argv], {
      cwd: work,
      stdio: 'ignore',
    });
  git('init', '-b', 'main');
  git('add', '.');
  git('commit', '-m', 'Start');
  git('clone', '--bare', work, origin);
  return origin;
}

type Event = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']
>[number];

const timesOf = (events: readonly Event[], which: (event: Event) => boolean): number[] =>
  events
    .filter(which)
    .map(({ eventTime }) => Number(eventTime?.seconds ?? 0) * 1_000 + Number(eventTime?.nanos ?? 0) / 1e6);

function used(server: RunningServer, worker: ChildProcess, model?: ChildProcess): Cpu {
  const of = (pid: number | undefined) => (pid === undefined ? 0 : cpuSeconds(pid).own);
  // The model's process, and this one, which asks how far the run is.
  const modelCpu = model === undefined ? 0 : of(model.pid) + of(process.pid);
  return { serverCpu: of(server.pid), workerCpu: of(worker.pid), modelCpu, machineCpu: machineCpuSeconds() };
}

const difference = (a: Cpu, b: Cpu): Cpu => ({
  serverCpu: a.serverCpu - b.serverCpu,
  workerCpu: a.workerCpu - b.workerCpu,
  modelCpu: a.modelCpu - b.modelCpu,
  machineCpu: a.machineCpu - b.machineCpu,
});

function print({ agents, turns, latencyMs }: Options, bare: Measured, ours: Measured): void {
  const ideal = turns * latencyMs;
  const row = (name: string, { wallMs, serverCpu, workerCpu, modelCpu, machineCpu }: Measured) =>
    `${name.padEnd(12)} ${(wallMs / 1_000).toFixed(1).padStart(7)} s   ${(wallMs / ideal).toFixed(2)} × ideal   ` +
    `CPU: server ${serverCpu.toFixed(1)} s, worker ${workerCpu.toFixed(1)} s, scripted model ${modelCpu.toFixed(1)} s, ` +
    // Commands in a sandbox end in namespaces of their own, where nobody sums them up.
    `sandboxes, git and all else on this machine ${(machineCpu - serverCpu - workerCpu - modelCpu).toFixed(1)} s`;
  console.log(`${agents} agents × ${turns} turns of ${latencyMs} ms; ideal ${(ideal / 1_000).toFixed(1)} s`);
  console.log(row('bare', bare));
  console.log(row('agentswarm', ours));
  if (ours.phases !== undefined) {
    const { sandbox, agent, collect, handOff, lastSandbox, firstAgentEnd, lastAgentEnd } = ours.phases;
    console.log(
      `a task's time, mean: ${sandbox.toFixed(1)} s until its sandbox, ${agent.toFixed(1)} s agent ` +
        `(${(ideal / 1_000).toFixed(1)} s of it the model), ${collect.toFixed(1)} s collecting, ${handOff.toFixed(1)} s handing off; ` +
        `the last sandbox came after ${lastSandbox.toFixed(1)} s, the first agent ended after ${firstAgentEnd.toFixed(1)} s, the last after ${lastAgentEnd.toFixed(1)} s`,
    );
  }
  console.log(`ratio ${(ours.wallMs / bare.wallMs).toFixed(2)} (agentswarm ÷ bare; the target is ≤ 1.30)`);
}
