/**
 * The speculative gate with nothing simulated: a worker process with its queue, git, and checks in sandboxes. What was
 * checked is read from the log of the checks, what landed when from the remote's reflog.
 */
import { join } from 'node:path';
import type { WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MergeOutcome, MergeRequest } from '../../src/shared/contracts/merge.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../src/shared/base/ids.ts';
import { enqueueSignal, mergeQueueSnapshotQuery, WORKFLOW } from '../../src/shared/messages.ts';
import { answersQuery, finishSignal, requester } from '../activities/merge-queue/workflows.ts';
import { landedOn } from '../support/branches.ts';
import { workOn } from '../support/merges.ts';
import { bareRepository, type TestRepository } from '../support/repos.ts';
import { scenarioScript } from '../support/scenarios.ts';
import { temporal } from '../support/temporal.ts';
import { useSwarm } from '../support/use-swarm.ts';

const SLOTS = 4;
/** Long enough for what comes meanwhile to be checked ahead. */
const CHECK_SECONDS = 4;
const CHECK = `sleep ${CHECK_SECONDS}
for part in parts/*; do
  ! grep -q broken "$part" || { echo "$part:1: error: it is broken"; exit 1; }
done
`;
const GATE: MergeRequest['gate'] = {
  mode: 'speculative',
  slots: SLOTS,
  checks: [{ name: 'parts', command: 'sh check.sh', quick: false, timeoutMinutes: 5 }],
  setup: null,
};
const WAIT = { timeout: 60_000, interval: 100 };

type Checked = { commit: string; verdict: string };

describe('the speculative gate', () => {
  const swarm = useSwarm({
    script: scenarioScript({}),
    config: { sandbox: { maxSandboxes: 2, reservedSlots: SLOTS } },
  });
  let stopRequesters: () => Promise<void>;
  let requesters: string;

  beforeAll(async () => {
    const server = await temporal();
    requesters = server.uniqueQueue();
    const workflowsPath = join(import.meta.dirname, '../activities/merge-queue/workflows.ts');
    const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
    const connection = await server.workerConnection();
    const worker = await Worker.create({ connection, taskQueue: requesters, workflowBundle });
    const running = worker.run();
    stopRequesters = async () => {
      worker.shutdown();
      await running;
    };
  }, 60_000);
  afterAll(async () => await stopRequesters?.());

  /** A repository with a queue, and those who ask it. */
  function remote(name: string) {
    const origin = bareRepository(join(swarm.dir, `${name}.git`), { 'check.sh': CHECK, 'parts/first.txt': 'good\n' });
    // Every move of the branch.
    origin.git('config', 'core.logAllRefUpdates', 'always');
    const base = origin.tip();
    const repo = { location: origin.dir, key: repositoryKey(origin.dir) };
    const workflowId = mergeQueueWorkflowId(repo.key, 'main');
    const asking = new Map<string, WorkflowHandleWithFirstExecutionRunId<typeof requester>>();
    return {
      origin,
      base,
      async enqueue(part: string, content = 'good\n'): Promise<void> {
        const id = `${name}/${part}.1`;
        const handle = await swarm.client.workflow.start(requester, { workflowId: id, taskQueue: requesters });
        asking.set(part, handle);
        const chain = { workflowId: id, firstRunId: handle.firstExecutionRunId };
        const more = { requester: chain, ref: `refs/agentswarm/runs/${name}/${part}.1`, gate: GATE };
        const entry = workOn(origin, base, part, { [`parts/${part}.txt`]: content }, more);
        await swarm.client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
          workflowId,
          taskQueue: swarm.taskQueue,
          args: [{ repo, target: 'main' }],
          signal: enqueueSignal,
          signalArgs: [entry],
        });
      },
      /** The lines that are being checked, by their parts. */
      async checking(): Promise<string[]> {
        const parts = new Map([...asking].map(([part, { firstExecutionRunId }]) => [`${firstExecutionRunId}/1`, part]));
        const { checking } = await swarm.client.workflow.getHandle(workflowId).query(mergeQueueSnapshotQuery);
        return checking.map((line) => line.map((id) => parts.get(id) ?? id).join(' '));
      },
      async outcome(part: string): Promise<MergeOutcome> {
        const answers = async () => (await asking.get(part)?.query(answersQuery)) ?? [];
        await expect.poll(answers, { timeout: 150_000, interval: 200 }).toHaveLength(1);
        const [answer] = await answers();
        await asking.get(part)?.signal(finishSignal);
        if (answer === undefined) throw new Error(`${part} was not answered`);
        return answer.outcome;
      },
      ended: () => swarm.client.workflow.getHandle(workflowId).result(),
      checks: () => checksOf(swarm.logTail(Number.MAX_SAFE_INTEGER), repo.key),
    };
  }

  it('checks ahead what comes, ejects the culprit in the middle, and throws away only what stood on it', async () => {
    const { origin, base, enqueue, checking, outcome, ended, checks } = remote('middle');
    await enqueue('one');
    await expect.poll(checking, WAIT).toContain('one');
    await enqueue('two', 'broken\n');
    await expect.poll(checking, WAIT).toContain('one two');
    await enqueue('three');
    // All at once, each on top of the one before.
    await expect.poll(checking, WAIT).toEqual(expect.arrayContaining(['one', 'one two', 'one two three']));
    await enqueue('four');

    for (const part of ['one', 'three', 'four']) expect(await outcome(part)).toMatchObject({ kind: 'landed' });
    expect(await outcome('two')).toEqual({
      kind: 'ejected',
      reason: expect.stringContaining('parts/two.txt:1: error: it is broken'),
    });
    await ended();

    // What is checked without the one before it may land first.
    expect(subjectsOf(origin, base)).toEqual(['four', 'one', 'three']);
    // The work of the culprit is kept, everything else is cleaned away.
    expect(origin.refs('refs/agentswarm/')).toEqual(['refs/agentswarm/runs/middle/two.1']);
    judge(origin, base, checks());
    // Nothing that had passed was checked again: the failure took nothing from what did not stand on it.
    const sound = checks().filter(({ commit }) => !('parts/two.txt' in origin.files(commit)));
    expect(sound.map(({ verdict }) => verdict)).toEqual(sound.map(() => 'passed'));
    expect(new Set(sound.map(({ commit }) => commit)).size).toBe(sound.length);
  }, 240_000);

  it('loses nothing and lands nothing unchecked when the worker is killed while it checks ahead', async () => {
    const { origin, base, enqueue, checking, outcome, ended, checks } = remote('killed');
    await enqueue('one');
    await expect.poll(checking, WAIT).toContain('one');
    await enqueue('two');
    await expect.poll(checking, WAIT).toEqual(expect.arrayContaining(['one', 'one two']));
    await swarm.killWorker();
    await enqueue('three');
    await swarm.startWorker();
    for (const part of ['one', 'two', 'three']) expect(await outcome(part)).toMatchObject({ kind: 'landed' });
    await ended();
    expect(subjectsOf(origin, base)).toEqual(['one', 'three', 'two']);
    expect(origin.refs('refs/agentswarm/')).toEqual([]);
    judge(origin, base, checks());
  }, 240_000);
});

/** Sorted. */
const subjectsOf = (origin: TestRepository, base: string): string[] =>
  landedOn(origin.dir, 'main', base)
    .map(({ subject }) => subject)
    .sort();

/** Verdicts in the order in which the checks ended. */
function checksOf(log: string, repositoryKey: string): Checked[] {
  return log
    .split('\n')
    .filter((line) => line.includes('"checks have run"'))
    .map((line) => JSON.parse(line) as Checked & { repo: string })
    .filter(({ repo }) => repo === repositoryKey);
}

/** What holds of every gate: the branch only moved forward, to commits whose checks had passed; nothing landed twice. */
function judge(origin: TestRepository, base: string, checks: readonly Checked[]): void {
  const moves = origin.git('reflog', 'show', '--format=%H', 'main').split('\n').reverse();
  expect(moves.at(-1)).toBe(origin.tip());
  const passed = new Set(checks.filter(({ verdict }) => verdict === 'passed').map(({ commit }) => commit));
  let before = base;
  for (const tip of moves) {
    expect(origin.git('merge-base', before, tip), 'it only moves forward').toBe(before);
    expect(passed.has(tip), `the checks of ${tip} have passed`).toBe(true);
    before = tip;
  }
  const changes = landedOn(origin.dir, 'main', base).map(({ change }) => change.join());
  expect(new Set(changes).size).toBe(changes.length);
}
