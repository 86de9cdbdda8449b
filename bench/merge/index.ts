/**
 * Landings a second of the merge queue, as a workflow on a server, against the least that git can do and against a
 * loop of porcelain, on copies of one remote by path.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { findServer } from '../../infra/temporal/find.mjs';
import { startServer } from '../../infra/temporal/start.ts';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import { createMergeActivities } from '../../src/activities/merge-queue/index.ts';
import { createSpawner } from '../../src/activities/process/spawner.ts';
import type { MergeActivities } from '../../src/shared/contracts/activities.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../src/shared/base/ids.ts';
import { workflowBundle } from '../../src/host/workflow-source.ts';
import { floor, type Landed, porcelain } from './floor.ts';
import { makeOrigin, type Origin } from './repository.ts';

type Queue = Landed & { conflicts: number; allMs: number; events: number };
type Round = { floor: Landed; porcelain: Landed; queue: Queue };

export async function merge(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      branches: { type: 'string', default: '300' },
      porcelain: { type: 'string', default: '30' },
      rounds: { type: 'string', default: '3' },
      seed: { type: 'string', default: '1' },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  try {
    const source = join(dir, 'source.git');
    const origin = makeOrigin(source, { branches: Number(values.branches), seed: Number(values.seed) });
    const temporal = await startTemporal(dir);
    const rounds: Round[] = [];
    try {
      // One after the other, again and again: who else uses the machine meanwhile should not decide.
      for (let i = 0; i < Number(values.rounds); i++) {
        const folder = join(dir, `round-${i}`);
        mkdirSync(folder);
        const copy = (name: string): string => {
          cpSync(source, join(folder, name), { recursive: true });
          return join(folder, name);
        };
        rounds.push({
          floor: await floor(folder, copy('floor-origin.git'), origin),
          queue: await queue(temporal, folder, copy('queue-origin.git'), origin),
          porcelain: porcelain(folder, copy('porcelain-origin.git'), origin, Number(values.porcelain)),
        });
        rmSync(folder, { recursive: true });
      }
    } finally {
      await temporal.stop();
    }
    print(origin, rounds);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

type Temporal = {
  client: Client;
  native: NativeConnection;
  bundle: Awaited<ReturnType<typeof workflowBundle>>;
  stop: () => Promise<void>;
};

async function startTemporal(dir: string): Promise<Temporal> {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const { file: binary } = await findServer({ say: (text: string) => console.error(text) });
  const server = await startServer({
    binary,
    dbFile: join(dir, 'temporal.db'),
    uiPort: null,
    logFile: join(dir, 'server.log'),
    namespace: 'default',
  });
  const connection = await Connection.connect({ address: server.address });
  const native = await NativeConnection.connect({ address: server.address });
  return {
    client: new Client({ connection }),
    native,
    bundle: await workflowBundle(process.env),
    async stop() {
      await native.close();
      await connection.close();
      await server.stop();
    },
  };
}

/** Requesters are open workflows without a worker: an answer counts when the server has taken it. */
async function queue(temporal: Temporal, dir: string, remote: string, { base, branches }: Origin): Promise<Queue> {
  const { client, native, bundle } = temporal;
  const spawner = createSpawner();
  try {
    const mirrors = createMirrors({ dir: join(dir, 'mirrors'), run: spawner.run });
    // The round's own: workflow ids are unique.
    const taskQueue = `merge-${basename(dir)}`;
    const real = createMergeActivities({ mirrors, client, taskQueue });
    const repo = { location: remote, key: repositoryKey(remote) };
    await mirrors.open(repo);
    let landed = 0;
    let conflicts = 0;
    let lastReadBack = 0;
    let answered = 0;
    let allAnswered: (at: number) => void = () => undefined;
    const end = new Promise<number>((resolve) => (allAnswered = resolve));
    const activities: MergeActivities = {
      ...real,
      async landBatch(request) {
        const result = await real.landBatch(request);
        lastReadBack = performance.now();
        for (const { outcome } of result.outcomes) {
          if (outcome.kind === 'landed') landed += 1;
          else if (outcome.kind === 'conflicted') conflicts += 1;
          else throw new Error(`the queue said ${outcome.kind}: the figures would mean nothing`);
        }
        return result;
      },
      async answerRequesters(request) {
        await real.answerRequesters(request);
        answered += request.answers.length;
        if (answered >= branches.length) allAnswered(performance.now());
      },
    };
    const requesters: string[] = [];
    for (const { name } of branches) {
      const started = await client.workflow.start('requester', {
        workflowId: `${taskQueue}/${name}.1`,
        taskQueue: 'nobody',
      });
      requesters.push(started.firstExecutionRunId);
    }
    const worker = await Worker.create({
      connection: native,
      taskQueue,
      ...{ workflowBundle: bundle, activities },
      // The bundle's interceptors speak to one.
      sinks: { exporter: { export: { fn: () => undefined, callDuringReplay: false } } },
      workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 10 },
    });
    const began = performance.now();
    await Promise.all(
      branches.map(({ name, ref, commit }, i) =>
        client.workflow.signalWithStart('mergeQueue', {
          workflowId: mergeQueueWorkflowId(repo.key, 'main'),
          taskQueue,
          args: [{ repo, target: 'main' }],
          signal: 'enqueue',
          signalArgs: [
            {
              id: `${requesters[i] ?? ''}/1`,
              requester: { workflowId: `${taskQueue}/${name}.1`, firstRunId: requesters[i] ?? '' },
              root: { workflowId: 'bench', firstRunId: 'bench' },
              ...{ commit, ref, base, priority: 5, subject: `${name}: work`, body: `What ${name} did.` },
              author: { name: 'Bench', email: 'bench@localhost' },
            },
          ],
        }),
      ),
    );
    const accepted = performance.now();
    const running = worker.run();
    const allMs = (await end) - began;
    const handle = client.workflow.getHandle(mergeQueueWorkflowId(repo.key, 'main'));
    await handle.result();
    const { events } = await handle.fetchHistory();
    worker.shutdown();
    await running;
    return { landed, conflicts, ms: lastReadBack - accepted, allMs, events: events?.length ?? 0 };
  } finally {
    spawner.close();
  }
}

function print({ branches, conflicting }: Origin, rounds: readonly Round[]): void {
  const rate = ({ landed, ms }: Landed): number => (1_000 * landed) / ms;
  const all = ({ landed, allMs }: Queue): Landed => ({ landed, ms: allMs });
  const row = (name: string, of: (round: Round) => Landed) =>
    console.log(
      `${name.padEnd(34)} ${rounds.map((round) => rate(of(round)).toFixed(1).padStart(8)).join('')} a second`,
    );
  console.log(`${branches.length} task branches, ${conflicting} of them conflicting; 1,000 files; in each round:`);
  row('chained plumbing, one push (floor)', (round) => round.floor);
  row('porcelain loop', (round) => round.porcelain);
  row('queue, last enqueue to read-back', (round) => round.queue);
  row('queue, with enqueues and answers', (round) => all(round.queue));
  const share = (name: string, digits: number, target: string, of: (round: Round) => number) => {
    const values = rounds.map(of);
    const each = values.map((value) => value.toFixed(digits)).join(', ');
    console.log(`${name.padEnd(34)} ${median(values).toFixed(digits)} (target ${target}; ${each})`);
  };
  console.log('medians, and each round:');
  share('queue ÷ floor', 2, '≥ 0.3', (round) => rate(round.queue) / rate(round.floor));
  share('with enqueues and answers ÷ floor', 2, '≥ 0.1', (round) => rate(all(round.queue)) / rate(round.floor));
  share('queue ÷ porcelain', 1, '≥ 10', (round) => rate(round.queue) / rate(round.porcelain));
  share('history events per landing', 2, '≤ 2.5', ({ queue: { events, landed } }) => events / landed);
  for (const { floor: least, queue: ours } of rounds) {
    if (least.landed !== ours.landed)
      console.log(`NOT COMPARABLE: the floor landed ${least.landed}, the queue ${ours.landed}`);
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
