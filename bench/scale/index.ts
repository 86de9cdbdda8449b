/**
 * Thousands of small tasks under one planner: what a task costs in a long run against a short one, and how large
 * histories, state and prompts become. A run that does not fit the time given is taken up again by the next call.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { WorkflowNotFoundError } from '@temporalio/client';
import { RunReport } from '../../src/shared/contracts/run.ts';
import { snapshotQuery } from '../../src/shared/messages.ts';
import { historiesOf, type Histories } from './histories.ts';
import { scaleScript } from './script.ts';
import { type BenchSwarm, type Cpu, NOT_ISOLATED, startSwarm } from './swarm.ts';

const RUN = 'scale';

type Progress = { cpu: Cpu; seconds: number; longestPrompt: number; plannerCalls: number };
export type Measured = Progress & { tasks: number; landed: number; commits: number; histories: Histories };

export async function scale(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: 'string', multiple: true, default: ['200', '2000'] },
      workers: { type: 'string', default: '40' },
      // Where runs and figures are kept; without it they are gone at the end.
      dir: { type: 'string' },
      // A call ends after so long, in good order; the next one with the same --dir goes on.
      seconds: { type: 'string', default: '100000' },
    },
  });
  const kept = values.dir ?? mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  const until = Date.now() + Number(values.seconds) * 1_000;
  console.log(NOT_ISOLATED);
  try {
    const all: Measured[] = [];
    for (const tasks of values.tasks.map(Number)) {
      const measured = await measure(join(kept, String(tasks)), tasks, Number(values.workers), until);
      if (measured === null) return;
      print(measured);
      all.push(measured);
    }
    compare(all);
  } finally {
    if (values.dir === undefined) rmSync(kept, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** null: not at its end, because the time is. */
async function measure(dir: string, tasks: number, workers: number, until: number): Promise<Measured | null> {
  const file = join(dir, 'measured.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Measured;
  const files = new Map(Array.from({ length: 60 }, (_, i) => [`src/file-${i}.txt`, `${'line of text\n'.repeat(50)}`]));
  const script = scaleScript({ tasks, perRound: Math.ceil(1.5 * workers) });
  const swarm = await startSwarm({ dir, script, sandboxes: workers + 4, files });
  const progressFile = join(dir, 'progress.json');
  const before: Progress = existsSync(progressFile)
    ? (JSON.parse(readFileSync(progressFile, 'utf8')) as Progress)
    : { cpu: { server: 0, worker: 0, tools: 0 }, seconds: 0, longestPrompt: 0, plannerCalls: 0 };
  const started = Date.now();
  const begun = swarm.used();
  try {
    const report = await runOn(swarm, tasks, workers, until);
    const progress = added(before, swarm, begun, (Date.now() - started) / 1_000);
    writeFileSync(progressFile, JSON.stringify(progress));
    if (report === null) return null;
    const commits = landedTasks(swarm.origin);
    const measured = {
      ...progress,
      tasks,
      landed: report.landed,
      commits,
      histories: await historiesOf(swarm.client, RUN),
    };
    writeFileSync(file, JSON.stringify(measured));
    return measured;
  } finally {
    await swarm.stop();
  }
}

async function runOn(
  { client, origin }: BenchSwarm,
  tasks: number,
  workers: number,
  until: number,
): Promise<RunReport | null> {
  const handle = client.workflow.getHandle(RUN);
  const open = await handle.describe().catch((error: unknown) => {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  });
  if (open === null) {
    const settings = { maxWorkers: workers, budget: {}, childSilenceSeconds: 600 };
    const input = { repo: origin, spec: { text: `Write ${tasks} notes.` }, branch: 'bench', settings };
    await client.workflow.start('planner', { workflowId: RUN, taskQueue: 'agentswarm', args: [input] });
  }
  for (;;) {
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING') return RunReport.parse(await handle.result());
    if (Date.now() > until) {
      const { landed } = await handle.query(snapshotQuery);
      console.log(`${tasks} tasks: ${landed} have landed; call again with the same --dir to go on`);
      return null;
    }
    await sleep(2_000);
  }
}

function added(before: Progress, swarm: BenchSwarm, begun: Cpu, seconds: number): Progress {
  const now = swarm.used();
  const planner = swarm.model.log.filter(({ role }) => role === 'planner');
  return {
    cpu: {
      server: before.cpu.server + now.server - begun.server,
      worker: before.cpu.worker + now.worker - begun.worker,
      tools: before.cpu.tools + now.tools - begun.tools,
    },
    seconds: before.seconds + seconds,
    longestPrompt: Math.max(before.longestPrompt, ...planner.map(({ inputTokens }) => inputTokens)),
    plannerCalls: before.plannerCalls + planner.length,
  };
}

/** Tasks that the branch names, each once however often it does. */
function landedTasks(origin: string): number {
  const format = '%(trailers:key=Swarm-Task,valueonly)';
  const said = execFileSync('git', ['-C', origin, 'log', `--format=${format}`, 'bench'], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  return new Set(said.split('\n').filter((line) => line !== '')).size;
}

const sum = ({ server, worker, tools }: Cpu): number => server + worker + tools;

function print({ tasks, landed, commits, cpu, seconds, longestPrompt, plannerCalls, histories }: Measured): void {
  const each = (value: number): string => ((1_000 * value) / tasks).toFixed(0);
  console.log(
    `${tasks} tasks: ${landed} reported as landed, ${commits} on the branch, in ${seconds.toFixed(0)} s; a task: ` +
      `${each(sum(cpu))} ms CPU (server ${each(cpu.server)}, worker ${each(cpu.worker)}, git and sandboxes ${each(cpu.tools)}), ` +
      `${(histories.events / tasks).toFixed(1)} events`,
  );
  console.log(
    `  planner: ${plannerCalls} calls, the longest prompt ${longestPrompt} tokens; ${histories.planner.runs} runs of at most ` +
      `${histories.planner.events} events and ${kb(histories.planner.bytes)}, carrying at most ${kb(histories.planner.carriedBytes)}`,
  );
  console.log(
    `  the longest history of any other workflow: ${histories.others.events} events, ${kb(histories.others.bytes)} (the server warns at 10,240 events and 10 MB)`,
  );
  if (landed !== tasks || commits !== tasks) console.log('  SOMETHING WAS LOST');
}

const kb = (bytes: number): string => `${(bytes / 1_000).toFixed(0)} kB`;

function compare(all: readonly Measured[]): void {
  const [short, long] = [all.at(0), all.at(-1)];
  if (short === undefined || long === undefined || short === long) return;
  const ratio = (of: (measured: Measured) => number): string =>
    (of(long) / long.tasks / (of(short) / short.tasks)).toFixed(2);
  console.log(
    `a task of ${long.tasks} ÷ a task of ${short.tasks}: CPU ${ratio(({ cpu }) => sum(cpu))}, ` +
      `events ${ratio(({ histories }) => histories.events)} (target ≤ 1.2)`,
  );
}
