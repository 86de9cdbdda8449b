/**
 * Landings a second of the merge queue, as a workflow on a server, against the least that git can do and against a
 * loop of porcelain, on copies of one remote by path.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { findServer } from '../../infra/temporal/find.mjs';
import { startServer } from '../../infra/temporal/start.ts';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import { createMergeActivities } from '../../src/activities/merge/index.ts';
import { createSpawner } from '../../src/activities/process/spawner.ts';
import type { MergeActivities } from '../../src/shared/contracts/activities.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../src/shared/ids.ts';
import { workflowBundle } from '../../src/workflow-source.ts';
import { floor, type Landed, porcelain } from './floor.ts';
import { makeOrigin, type Origin } from './repository.ts';

type Queue = Landed & { conflicts: number; allMs: number; events: number };

export async function merge(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      branches: { type: 'string', default: '300' },
      porcelain: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  try {
    const source = join(dir, 'source.git');
    const origin = makeOrigin(source, { branches: Number(values.branches), seed: Number(values.seed) });
    const copy = (name: string): string => {
      cpSync(source, join(dir, name), { recursive: true });
      return join(dir, name);
    };
    const least = await floor(dir, copy('floor-origin.git'), origin);
    const loop = porcelain(dir, copy('porcelain-origin.git'), origin, Number(values.porcelain));
    const ours = await queue(dir, copy('queue-origin.git'), origin);
    print(origin, least, loop, ours);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Requesters are open workflows without a worker: an answer counts when the server has taken it. */
async function queue(dir: string, remote: string, { base, branches }: Origin): Promise<Queue> {
  const { file: binary } = await findServer({ say: (text: string) => console.error(text) });
  const server = await startServer({
    binary,
    dbFile: join(dir, 'temporal.db'),
    uiPort: null,
    logFile: join(dir, 'server.log'),
    namespace: 'default',
  });
  const { address } = server;
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  const spawner = createSpawner();
  try {
    const client = new Client({ connection });
    const mirrors = createMirrors({ dir: join(dir, 'mirrors'), run: spawner.run });
    const taskQueue = 'merge';
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
      const started = await client.workflow.start('requester', { workflowId: `bench/${name}.1`, taskQueue: 'nobody' });
      requesters.push(started.firstExecutionRunId);
    }
    const worker = await Worker.create({
      connection: native,
      taskQueue,
      ...{ workflowBundle: await workflowBundle(process.env), activities },
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
              requester: { workflowId: `bench/${name}.1`, firstRunId: requesters[i] ?? '' },
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
    await native.close();
    await connection.close();
    await server.stop();
  }
}

function print({ branches, conflicting }: Origin, least: Landed, loop: Landed, ours: Queue): void {
  const rate = ({ landed, ms }: Landed): number => (1_000 * landed) / ms;
  const row = (name: string, of: Landed) =>
    console.log(
      `${name.padEnd(34)} ${String(of.landed).padStart(4)} landed   ${rate(of).toFixed(1).padStart(7)} a second`,
    );
  const all = { landed: ours.landed, ms: ours.allMs };
  console.log(`${branches.length} task branches, ${conflicting} of them conflicting; 1,000 files`);
  row('chained plumbing, one push (floor)', least);
  row('porcelain loop', loop);
  row('queue, last enqueue to read-back', ours);
  row('queue, with enqueues and answers', all);
  const share = (value: number, digits: number, target: string) => `${value.toFixed(digits)} (target ${target})`;
  console.log(`queue ÷ floor                      ${share(rate(ours) / rate(least), 2, '≥ 0.3')}`);
  console.log(`with enqueues and answers ÷ floor  ${share(rate(all) / rate(least), 2, '≥ 0.1')}`);
  console.log(`queue ÷ porcelain                  ${share(rate(ours) / rate(loop), 1, '≥ 10')}`);
  console.log(`history events per landing         ${share(ours.events / ours.landed, 2, '≤ 2.5')}`);
  if (least.landed !== ours.landed)
    console.log(`NOT COMPARABLE: the floor landed ${least.landed}, the queue ${ours.landed}`);
}
