/** The queue as a workflow on a real server, landing on a real repository, for requesters that are workflows too. */
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { type Client, WithStartWorkflowOperation, type WorkflowHandle } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createMergeActivities } from '../../../src/activities/merge-queue/index.ts';
import { createDescribeChains } from '../../../src/activities/support/describe-chains.ts';
import { mergeQueueLines } from '../../../src/dashboard/merge-queue.ts';
import type { MergeActivities } from '../../../src/shared/contracts/activities.ts';
import type { ChecksRequest, ChecksResult } from '../../../src/shared/contracts/checks.ts';
import type { BranchHealth } from '../../../src/shared/contracts/gate.ts';
import type { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../../src/shared/base/ids.ts';
import { enqueueSignal, freezeUpdate, mergeQueueSnapshotQuery, thawUpdate } from '../../../src/shared/messages.ts';
import { MERGE_TEXT } from '../../../src/shared/merge-queue/text.ts';
import { reservedQueue } from '../../../src/shared/queues.ts';
import { answersQuery, requester } from '../../activities/merge-queue/workflows.ts';
import { createTestLog } from '../../support/log.ts';
import { workOn } from '../../support/merges.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';
import { refusal } from '../../support/thrown.ts';
import { temporal, type TestTemporal } from '../../support/temporal.ts';

const log = createTestLog();
let server: TestTemporal;
let client: Client;
let requesters: WorkflowBundleWithSourceMap;
let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let taskQueue: string;
let activities: MergeActivities;
let batches: string[][];
/** Awaited before a batch is landed. */
let beforeLanding: () => Promise<void>;
/** Called before requesters are answered. */
let beforeAnswers: () => void;
/** Awaited before the gate's checks say something. */
let checking: () => Promise<void>;
/** Awaited before the refs of composed lines are dropped. */
let clearing: () => Promise<void>;
/** What the gate's checks say of a commit. */
let verdictOn: (request: ChecksRequest) => ChecksResult;
let stop: () => Promise<void>;

beforeAll(async () => {
  server = await temporal();
  client = await server.client();
  const workflowsPath = join(import.meta.dirname, '../../activities/merge-queue/workflows.ts');
  requesters = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
}, 60_000);

beforeEach(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'));
  taskQueue = server.uniqueQueue();
  batches = [];
  beforeLanding = async () => undefined;
  beforeAnswers = () => undefined;
  checking = async () => undefined;
  clearing = async () => undefined;
  verdictOn = ({ commit }) => ({ verdict: 'passed', commit, checks: [] });
  const real = createMergeActivities({
    mirrors: createMirrors({ dir: join(folder.dir, 'mirrors') }),
    client,
    taskQueue,
    log,
  });
  activities = {
    ...real,
    async landBatch(request) {
      batches.push(request.entries.map(({ subject }) => subject));
      await beforeLanding();
      return await real.landBatch(request);
    },
    async dropRefs(request) {
      await clearing();
      await real.dropRefs(request);
    },
    async answerRequesters(request) {
      beforeAnswers();
      return await real.answerRequesters(request);
    },
  };
  const connection = await server.workerConnection();
  const workers = [
    await Worker.create({
      connection,
      taskQueue,
      workflowBundle: await server.workflowBundle(),
      activities: { ...activities, describeChains: createDescribeChains({ client }) },
    }),
    await Worker.create({
      connection,
      taskQueue: reservedQueue(taskQueue),
      activities: {
        async runChecks(request: ChecksRequest) {
          await checking();
          return verdictOn(request);
        },
      },
    }),
    await Worker.create({ connection, taskQueue: `${taskQueue}-requesters`, workflowBundle: requesters }),
  ];
  const running = workers.map((worker) => worker.run());
  stop = async () => {
    for (const worker of workers) worker.shutdown();
    await Promise.all(running);
  };
});
afterEach(async () => {
  await stop();
  folder.remove();
});
afterAll(() => expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]));

type Asking = { handle: WorkflowHandle<typeof requester>; entry: MergeRequest; ask: () => Promise<void> };

const repo = () => ({ location: remote.dir, key: repositoryKey(remote.dir) });
const queue = () => client.workflow.getHandle(mergeQueueWorkflowId(repo().key, 'main'));

/** A requester with its work, which asks when `ask` is called. */
async function asking(name: string, more: Partial<MergeRequest> = {}): Promise<Asking> {
  const workflowId = `${taskQueue}/${name}.1`;
  const handle = await client.workflow.start(requester, { workflowId, taskQueue: `${taskQueue}-requesters` });
  const chain = { workflowId, firstRunId: handle.firstExecutionRunId };
  const entry = workOn(remote, remote.tip(), name, { [name]: name }, { ...more, requester: chain });
  const ask = () =>
    new MockActivityEnvironment().run(activities.enqueueMerge, {
      repo: repo(),
      target: 'main',
      entry,
    }) as Promise<void>;
  return { handle, entry, ask };
}

const outcomesOf = async ({ handle }: Asking) => (await handle.query(answersQuery)).map(({ outcome }) => outcome);
const subjectsLanded = () => remote.log().toReversed().slice(1);

/** Holds landings until `open` is called. */
function gate(): { open: () => void; reached: Promise<void> } {
  let open: () => void = () => undefined;
  let reach: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => (reach = resolve));
  beforeLanding = async () => {
    reach();
    await opened;
  };
  return { open, reached };
}

const snapshot = () => queue().query(mergeQueueSnapshotQuery);

/** As the command says it: to the queue that is open, or a new one. */
const withQueue = (update: typeof freezeUpdate, reason: string): Promise<string> =>
  client.workflow.executeUpdateWithStart(update, {
    startWorkflowOperation: new WithStartWorkflowOperation('mergeQueue', {
      workflowId: queue().workflowId,
      taskQueue,
      args: [{ repo: repo(), target: 'main' }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
    args: [{ reason }],
  });

const tell = (health: BranchHealth) =>
  new MockActivityEnvironment().run(activities.tellHealth, { repo: repo(), target: 'main', health }) as Promise<void>;

describe('a merge queue', () => {
  test('answers a requester when its work is on the branch, and not before', async () => {
    const { open, reached } = gate();
    const one = await asking('one');
    await one.ask();
    await reached;
    expect(await outcomesOf(one)).toEqual([]);
    open();
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toHaveLength(1);
    expect(await outcomesOf(one)).toEqual([{ kind: 'landed', commit: remote.tip() }]);
    expect(subjectsLanded()).toEqual(['one']);
    expect(await queue().result()).toEqual({ landed: 1 });
  });

  test('continues as new with all that waits, after it has answered, and remembers what it answered', async () => {
    const { open, reached } = gate();
    const [one, two] = [await asking('one'), await asking('two')];
    await one.ask();
    await reached;
    await two.ask();
    // The server suggests to continue as new from 4 MiB of history on; these are dropped for what they are.
    const rubbish = 'x'.repeat(450_000) as unknown as MergeRequest;
    for (let i = 0; i < 10; i++) await queue().signal(enqueueSignal, rubbish);
    const second = gate();
    open();
    await second.reached;
    expect(await outcomesOf(one)).toMatchObject([{ kind: 'landed' }]);
    await one.ask();
    second.open();
    await expect.poll(() => outcomesOf(two), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toHaveLength(2);
    expect(subjectsLanded()).toEqual(['one', 'two']);
    expect(batches).toEqual([['one'], ['two']]);
    expect(await queue().result()).toEqual({ landed: 2 });
    const { runId, raw } = await queue().describe();
    expect(raw.workflowExecutionInfo?.firstRunId).not.toBe(runId);
  });

  test('tells everyone of a batch that can never land, with the reason', async () => {
    const { open, reached } = gate();
    const [one, two] = [await asking('one'), await asking('two')];
    await one.ask();
    await reached;
    await two.ask();
    remote.git('update-ref', '-d', 'refs/heads/main');
    open();
    const refused = [{ kind: 'refused', reason: expect.stringContaining('does not exist any more') }];
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toEqual(refused);
    await expect.poll(() => outcomesOf(two), { timeout: 10_000 }).toEqual(refused);
    expect(await queue().result()).toEqual({ landed: 0 });
  });

  test('goes on with what waits when a requester cannot be answered, who is answered when it asks again', async () => {
    const { open, reached } = gate();
    const [one, two] = [await asking('one'), await asking('two')];
    await one.ask();
    await reached;
    await two.ask();
    beforeAnswers = () => {
      beforeAnswers = () => undefined;
      throw ApplicationFailure.nonRetryable('nobody can be told anything now');
    };
    const second = gate();
    open();
    await second.reached;
    expect(await outcomesOf(one)).toEqual([]);
    await one.ask();
    second.open();
    await expect.poll(() => outcomesOf(two), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    expect(subjectsLanded()).toEqual(['one', 'two']);
    expect(await queue().result()).toEqual({ landed: 2 });
  });

  test('lets only fixes land on a red branch, also after it continued as new, and all when it is green', async () => {
    await tell({ kind: 'red', commit: remote.tip(), reason: 'types fail' });
    const [one, fix, late] = [await asking('one'), await asking('fix', { fix: true }), await asking('late')];
    await one.ask();
    await fix.ask();
    await expect.poll(() => outcomesOf(fix), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    const first = (await queue().describe()).runId;
    const rubbish = 'x'.repeat(450_000) as unknown as MergeRequest;
    for (let i = 0; i < 10; i++) await queue().signal(enqueueSignal, rubbish);
    // The server says that a history is long with the task after the one that made it so.
    await late.ask();
    await expect
      .poll(async () => (await late.ask(), (await queue().describe()).runId), { timeout: 10_000, interval: 500 })
      .not.toBe(first);
    expect(await queue().query(mergeQueueSnapshotQuery)).toMatchObject({
      frozen: [{ by: 'reconciler', reason: 'types fail' }],
      waiting: [{ subject: 'one' }, { subject: 'late' }],
    });
    expect(subjectsLanded()).toEqual(['fix']);
    await tell({ kind: 'green', commit: remote.tip() });
    for (const each of [one, late]) {
      await expect.poll(() => outcomesOf(each), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    }
    expect(await queue().result()).toEqual({ landed: 3 });
  });

  test('thaws a red branch when the run that froze it was terminated, and says so; not what a person froze', async () => {
    const run = await asking('run');
    const by = run.entry.requester;
    const other = { ...by, firstRunId: '00000000-0000-4000-8000-000000000002' };
    await tell({ kind: 'red', commit: remote.tip(), reason: 'types fail', by });
    // Another run that gives up mending has not frozen it.
    await tell({ kind: 'unknown', by: other });
    const one = await asking('one');
    await one.ask();
    await queue().executeUpdate(freezeUpdate, { args: [{ reason: 'release 7' }] });
    const seen = () => queue().query(mergeQueueSnapshotQuery);
    expect(await seen()).toMatchObject({ frozen: [{ by: 'reconciler', chain: by }, { by: 'person' }] });
    await run.handle.terminate('by a person');
    await expect.poll(async () => (await seen()).frozen, { timeout: 30_000 }).toHaveLength(1);
    const thawed = await seen();
    expect(thawed.frozen).toMatchObject([{ by: 'person', reason: 'release 7' }]);
    expect(mergeQueueLines(thawed).join('\n')).toMatch(/note on main: .*run\.1, which has ended[\s\S]*types fail/);
    expect(subjectsLanded()).toEqual([]);
    await queue().executeUpdate(thawUpdate, { args: [{ reason: 'it is out' }] });
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    expect(await queue().result()).toEqual({ landed: 1 });
  });

  test('keeps a red branch frozen while the run that froze it goes on', async () => {
    const run = await asking('run');
    const by = run.entry.requester;
    await tell({ kind: 'red', commit: remote.tip(), reason: 'types fail', by });
    const one = await asking('one');
    await one.ask();
    // It has asked after the run, and been told.
    const looks = async (): Promise<number> => {
      const { events } = await queue().fetchHistory();
      const asked = events?.filter(
        ({ activityTaskScheduledEventAttributes: of }) => of?.activityType?.name === 'describeChains',
      );
      return asked?.length ?? 0;
    };
    await expect.poll(looks, { timeout: 30_000, interval: 500 }).toBeGreaterThan(0);
    expect(await queue().query(mergeQueueSnapshotQuery)).toMatchObject({ frozen: [{ reason: 'types fail' }] });
    expect(await outcomesOf(one)).toEqual([]);
    await tell({ kind: 'unknown', by });
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    expect(await queue().result()).toEqual({ landed: 1 });
  });

  test('lands nothing while its checks cannot be run and says why, and only what passed on the tip that is there', async () => {
    const gate = { mode: 'batch' as const, slots: 1, checks: 'detect' as const, setup: null };
    const checked: string[] = [];
    let moved = '';
    verdictOn = ({ commit }) => {
      checked.push(remote.git('log', '--format=%s', `${remote.tip()}..${commit}`));
      if (checked.length === 1) return { verdict: 'could-not-run', commit, checks: [], reason: 'no sandbox is left' };
      // While the second one runs, somebody pushes.
      if (checked.length === 2) moved = remote.commit({ 'person.txt': 'person' }, { message: 'person' });
      return { verdict: 'passed', commit, checks: [] };
    };
    const one = await asking('one', { gate });
    await one.ask();
    await expect
      .poll(async () => (await queue().query(mergeQueueSnapshotQuery)).waitingFor, { timeout: 10_000 })
      .toContain('no sandbox is left');
    expect(subjectsLanded()).toEqual([]);
    await expect.poll(() => outcomesOf(one), { timeout: 20_000 }).toHaveLength(1);
    expect(await outcomesOf(one)).toEqual([{ kind: 'landed', commit: remote.tip() }]);
    expect(subjectsLanded()).toEqual(['person', 'one']);
    expect(remote.git('rev-parse', 'main^')).toBe(moved);
    expect(checked).toEqual(['one', 'one', 'one']);
    expect(await queue().result()).toEqual({ landed: 1 });
    expect(remote.refs('refs/agentswarm/')).toEqual([]);
  });

  test('a freeze of a person outlives its queue, and is thawed where no queue is open', async () => {
    const thawed = MERGE_TEXT.thawed('main');
    expect(await withQueue(freezeUpdate, 'ops')).toBe(MERGE_TEXT.frozen('main'));
    expect(await queue().query(mergeQueueSnapshotQuery)).toMatchObject({ freezeKept: true });
    await queue().terminate('by a person');

    const one = await asking('one');
    await one.ask();
    const frozen = [expect.objectContaining({ by: 'person', reason: 'ops' })];
    await expect.poll(snapshot, { timeout: 10_000 }).toMatchObject({ frozen, waiting: [{ subject: 'one' }] });
    await queue().cancel();
    await queue()
      .result()
      .catch(() => undefined);
    expect(batches).toEqual([]);

    expect(await withQueue(thawUpdate, 'it is out')).toBe(thawed);
    expect(remote.refs('refs/agentswarm/frozen/')).toEqual([]);
    await one.ask();
    await expect.poll(() => outcomesOf(one), { timeout: 10_000 }).toMatchObject([{ kind: 'landed' }]);
    await queue().result();
    expect((await snapshot()).frozen).toEqual([]);
    expect(await refusal(withQueue(thawUpdate, 'once more'))).toBe(MERGE_TEXT.notFrozen('main'));
    await queue().result();
  });

  test('freezes and thaws in one moment leave on the remote what was said last', async () => {
    await withQueue(freezeUpdate, 'first');
    const thaw = await queue().startUpdate(thawUpdate, { args: [{ reason: 'no' }], waitForStage: 'ACCEPTED' });
    await Promise.all([thaw.result(), withQueue(freezeUpdate, 'second')]);
    await queue().terminate('by a person');
    await tell({ kind: 'green', commit: remote.tip() });
    await expect.poll(snapshot, { timeout: 10_000 }).toMatchObject({ frozen: [{ by: 'person', reason: 'second' }] });
    await withQueue(thawUpdate, 'over');
    await queue().result();
    expect(remote.refs('refs/agentswarm/frozen/')).toEqual([]);
  });

  test('says that a freeze is not kept where the remote refuses it', async () => {
    remote.hook('update', '#!/bin/sh\necho not here >&2\nexit 1\n');
    expect(await withQueue(freezeUpdate, 'ops')).toContain('not kept on the remote');
    expect(await snapshot()).toMatchObject({ freezeKept: false, frozen: [{ reason: 'ops' }] });
    await queue().terminate('by a person');
  });

  test('lands what is asked of it while it clears up to end', async () => {
    const gated = { gate: { mode: 'batch', slots: 1, checks: 'detect', setup: null } } as const;
    const [one, two] = [await asking('one', gated), await asking('two', gated)];
    clearing = async () => {
      clearing = async () => undefined;
      await two.ask();
    };
    await one.ask();
    await expect.poll(() => outcomesOf(two), { timeout: 30_000 }).toMatchObject([{ kind: 'landed' }]);
    expect(await queue().result()).toEqual({ landed: 2 });
  }, 60_000);

  test('checks that were completed by hand with what is no result are run again', async () => {
    let runs = 0;
    let complete: () => void = () => undefined;
    const completed = new Promise<void>((resolve) => (complete = resolve));
    checking = async () => {
      runs += 1;
      if (runs === 1) await completed;
    };
    const one = await asking('one', { gate: { mode: 'batch', slots: 1, checks: 'detect', setup: null } });
    await one.ask();
    const pending = async () => (await queue().describe()).raw.pendingActivities ?? [];
    const isChecking = async () => (await pending()).some(({ activityType }) => activityType?.name === 'runChecks');
    await expect.poll(isChecking, { timeout: 10_000 }).toBe(true);
    const [activity] = (await pending()).filter(({ activityType }) => activityType?.name === 'runChecks');
    const { runId } = await queue().describe();
    const { workflowId } = queue();
    await client.activity.complete({ workflowId, runId, activityId: activity?.activityId ?? '' }, {});
    complete();
    await expect.poll(() => outcomesOf(one), { timeout: 20_000 }).toMatchObject([{ kind: 'landed' }]);
    expect(runs).toBe(2);
    await queue().result();
  }, 60_000);
});
