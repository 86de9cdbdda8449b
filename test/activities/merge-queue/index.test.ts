import { join } from 'node:path';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import type { MergeActivities } from '../../../src/shared/contracts/activities.ts';
import { createMergeActivities } from '../../../src/activities/merge-queue/index.ts';
import { LandResult, type MergeAnswer } from '../../../src/shared/contracts/merge.ts';
import { type HandoffMessage, NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { type Chain, mergeQueueWorkflowId, repositoryKey } from '../../../src/shared/base/ids.ts';
import { serveGit } from '../../support/git-http.ts';
import { createTestLog } from '../../support/log.ts';
import { mergeRequest } from '../../support/merge-requests.ts';
import { workOn } from '../../support/merges.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';
import { temporal } from '../../support/temporal.ts';
import { againSignal, answersQuery, finishSignal, requester, requestsQuery } from './workflows.ts';

const folder = temporaryFolder();
const log = createTestLog();
let client: Client;
let taskQueue: string;
let worker: Worker;
let working: Promise<void>;
let activities: ReturnType<typeof createMergeActivities>;
let count = 0;

beforeAll(async () => {
  const server = await temporal();
  client = await server.client();
  taskQueue = server.uniqueQueue();
  const connection = await server.workerConnection();
  worker = await Worker.create({ connection, taskQueue, workflowsPath: join(import.meta.dirname, 'workflows.ts') });
  working = worker.run();
  const mirrors = createMirrors({ dir: join(folder.dir, 'mirrors') });
  activities = createMergeActivities({ mirrors, client, taskQueue, log });
});
afterAll(async () => {
  worker.shutdown();
  await working;
  folder.remove();
});

const answer = (id: string): MergeAnswer => ({ id, outcome: { kind: 'empty' } });
const tell = (...answers: { requester: { workflowId: string; firstRunId: string }; answer: MergeAnswer }[]) =>
  new MockActivityEnvironment().run(activities.answerRequesters, { answers });

async function start(workflowId = `${taskQueue}-${++count}`) {
  const handle = await client.workflow.start(requester, { workflowId, taskQueue });
  return { handle, chain: { workflowId, firstRunId: handle.firstExecutionRunId } };
}

test('a remote that does not let the worker log in is tried for a while, then it is said what to renew', async () => {
  const http = await serveGit(folder.dir);
  const remote = bareRepository(join(folder.dir, 'locked.git'));
  const location = http.url('locked.git');
  const entry = workOn(remote, remote.tip(), 'alpha', { 'a.txt': 'a' });
  const request = { repo: { location, key: repositoryKey(location) }, target: 'main', entries: [entry] };
  const land = (attempt: number) =>
    new MockActivityEnvironment({ attempt }).run(activities.landBatch, request).then(String, (error: unknown) => error);
  http.faults = { status: { on: 'push', code: 401 } };
  expect(await land(1)).toMatchObject({ name: 'GitError', kind: 'credentials' });
  expect(await land(20)).toMatchObject({
    nonRetryable: true,
    message: expect.stringMatching(/tried 20 times to land on main of .*locked\.git[\s\S]*Renew its login/),
  });
  http.faults = {};
  expect(await land(21)).not.toBeInstanceOf(Error);
  await http.close();
});

describe('answerRequesters', () => {
  test('every requester gets its own answer', async () => {
    const started = await Promise.all(Array.from({ length: 20 }, () => start()));
    await tell(...started.map(({ chain }, i) => ({ requester: chain, answer: answer(`a${i}`) })));
    const got = await Promise.all(started.map(({ handle }) => handle.query(answersQuery)));
    expect(got).toEqual(started.map((_, i) => [answer(`a${i}`)]));
  });

  test('a chain that has continued as new is reached under its first run id', async () => {
    const { handle, chain } = await start();
    await handle.signal(againSignal);
    const now = client.workflow.getHandle(chain.workflowId);
    await expect.poll(async () => (await now.describe()).runId, { timeout: 10_000 }).not.toBe(chain.firstRunId);
    await tell({ requester: chain, answer: answer('later') });
    expect(await now.query(answersQuery)).toEqual([answer('later')]);
  });

  test('one that has ended, one that never was, and a later one of the same id get nothing; others do', async () => {
    const ended = await start();
    await ended.handle.signal(finishSignal);
    await ended.handle.result();
    const reused = await start();
    await reused.handle.terminate('test');
    const later = await start(reused.chain.workflowId);
    const living = await start();
    await tell(
      { requester: ended.chain, answer: answer('1') },
      { requester: { workflowId: `${taskQueue}-never`, firstRunId: living.chain.firstRunId }, answer: answer('2') },
      { requester: reused.chain, answer: answer('3') },
      { requester: living.chain, answer: answer('4') },
    );
    expect(await later.handle.query(answersQuery)).toEqual([]);
    expect(await living.handle.query(answersQuery)).toEqual([answer('4')]);
    expect(log.lines.filter(({ message }) => message.includes('has ended')).length).toBe(3);
  });

  test('a server that cannot be asked is an error, so that the activity is tried again', async () => {
    const { chain } = await start();
    const nobody = { ...chain, workflowId: '' };
    const { handle, chain: other } = await start();
    const failing = tell({ requester: nobody, answer: answer('1') }, { requester: other, answer: answer('2') });
    await expect(failing).rejects.toThrow('1 of 2 requesters could not be answered');
    expect(await handle.query(answersQuery)).toEqual([answer('2')]);
  });
});

describe('enqueueMerge', () => {
  test('starts the queue of the repository and branch, or signals the one that runs', async () => {
    const remote = bareRepository(join(folder.dir, 'enqueue.git'));
    const repo = { location: remote.dir, key: repositoryKey(remote.dir) };
    const entries = ['one', 'two'].map((name) => workOn(remote, remote.tip(), name, { [name]: name }));
    const enqueue = (request: Parameters<typeof activities.enqueueMerge>[0]) =>
      new MockActivityEnvironment().run(activities.enqueueMerge, request);
    for (const entry of entries) await enqueue({ repo, target: 'main', entry });
    await enqueue({ repo, target: 'other', entry: entries[0] ?? expect.fail() });
    const queue = client.workflow.getHandle(mergeQueueWorkflowId(repo.key, 'main'));
    expect(await queue.query(requestsQuery)).toEqual({ input: { repo, target: 'main' }, requests: entries });
    const other = client.workflow.getHandle(mergeQueueWorkflowId(repo.key, 'other'));
    expect((await other.query(requestsQuery)).requests).toEqual([entries[0]]);
    await Promise.all([queue.terminate(), other.terminate()]);
  });
});

describe('handOff', () => {
  const message: HandoffMessage = {
    id: 'chain/handoff',
    sender: { workflowId: 'run/alpha.1', firstRunId: 'chain' },
    taskId: 'alpha',
    attempt: 1,
    queued: true,
    handoff: {
      status: 'complete',
      summary: 'Done.',
      concerns: [],
      suggestions: [],
      filesChanged: [],
      metrics: NO_METRICS,
    },
  };
  /** Asks a queue of its own, for a parent. @returns the handle of that queue. */
  const ask = async (name: string, parent: Chain, by: Pick<MergeActivities, 'handOff'> = activities, attempt = 1) => {
    const location = `/${taskQueue}/${name}`;
    const merge = { repo: { location, key: repositoryKey(location) }, target: 'main', entry: mergeRequest(name) };
    const queue = client.workflow.getHandle(mergeQueueWorkflowId(merge.repo.key, 'main'));
    await new MockActivityEnvironment({ attempt }).run(by.handOff, { parent, message, merge });
    return queue;
  };

  test('has told the parent where the queue could not be asked', async () => {
    const { handle, chain } = await start();
    const unasked = createMergeActivities({ mirrors: createMirrors({ dir: folder.dir }), client, taskQueue: '', log });
    await expect(ask('unasked', chain, unasked)).rejects.toThrow();
    const signals = async () =>
      ((await handle.fetchHistory()).events ?? []).flatMap(
        ({ workflowExecutionSignaledEventAttributes: signalled }) => signalled?.signalName ?? [],
      );
    await expect.poll(signals, { timeout: 10_000 }).toEqual(['handoff']);
    await handle.terminate();
  });

  test('asks for a parent that has ended, and not before one that could not be told', async () => {
    const { handle, chain } = await start();
    await handle.terminate();
    const queue = await ask('ended', chain);
    expect((await queue.query(requestsQuery)).requests).toHaveLength(1);
    await queue.terminate();
    await expect(ask('untold', { ...chain, workflowId: '' })).rejects.toThrow();
    const untold = client.workflow.getHandle(mergeQueueWorkflowId(repositoryKey(`/${taskQueue}/untold`), 'main'));
    await expect(untold.describe()).rejects.toThrow(WorkflowNotFoundError);
  });

  test('of work that is not to land is tried for as long as the activity is', async () => {
    const { handle, chain } = await start();
    const handOff = { parent: { ...chain, workflowId: '' }, message };
    await expect(new MockActivityEnvironment({ attempt: 9 }).run(activities.handOff, handOff)).rejects.toThrow();
    await handle.terminate();
  });

  test('asks in the end for a parent that cannot be told', async () => {
    const { handle, chain } = await start();
    const nobody = { ...chain, workflowId: '' };
    const queue = await ask('untellable', nobody, activities, 5);
    expect((await queue.query(requestsQuery)).requests).toHaveLength(1);
    await queue.terminate();
    await handle.terminate();
  });
});

describe('landBatch', () => {
  test('lands as an activity, with its mirror made on the way', async () => {
    const remote = bareRepository(join(folder.dir, 'land.git'));
    const entry = workOn(remote, remote.tip(), 'alpha', { a: 'a' });
    const repo = { location: remote.dir, key: repositoryKey(remote.dir) };
    const run = new MockActivityEnvironment().run(activities.landBatch, { repo, target: 'main', entries: [entry] });
    expect(LandResult.parse(await run).outcomes).toEqual([
      { id: entry.id, outcome: { kind: 'landed', commit: remote.tip() } },
    ]);
  });
});
