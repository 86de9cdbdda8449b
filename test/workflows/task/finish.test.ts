/** The end of a task's work: what is collected, told and asked for, in which activities. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { FailureType, terminal } from '../../../src/shared/base/failures.ts';
import { CLOSES, COLLECTED, SHA, type TaskStage, taskStage } from './stage.ts';

const LANDED: MergeOutcome = { kind: 'landed', commit: 'b'.repeat(40) };
const WEAKENED = ['test/a.test.ts is deleted'];

let stage: TaskStage;
beforeAll(async () => {
  stage = await taskStage();
}, 60_000);
afterAll(() => stage.close(), 60_000);

type Started = Awaited<ReturnType<TaskStage['started']>>;

/** A sandbox that is lost as soon as something in it fails. */
function losable() {
  let end: (result: { end: 'gone' }) => void = () => undefined;
  const ended = new Promise((resolve) => (end = resolve));
  const lose = (failure: Error) => () => {
    end({ end: 'gone' });
    throw failure;
  };
  return { ends: () => ended, lose };
}

/** What was asked of its queue, as any other task would ask it. */
const asked = (task: Started) =>
  task.asked().map(
    (request) =>
      JSON.parse(
        JSON.stringify(request)
          .replaceAll(task.chain.firstRunId, 'CHAIN')
          .replaceAll(task.chain.workflowId, 'TASK')
          .replaceAll(request.entry.root.workflowId, 'RUN')
          .replaceAll(request.entry.root.firstRunId, 'ROOT')
          .replace(/"durationMs":\d+/, '"durationMs":0'),
      ) as unknown,
  );

describe('a task whose work is to land', () => {
  test('collects it, hands off and asks the queue in one activity, gives the sandbox back and waits', async () => {
    const task = await stage.started({ ...CLOSES, ' collectWork': [COLLECTED], ' handOff': [LANDED] });
    const { handoffs, outcomes } = await task.told();
    expect(await task.scheduled()).toEqual(['holdSandbox', 'collectWork', 'handOff']);
    expect(task.asked()).toMatchObject([
      {
        entry: {
          id: `${task.chain.firstRunId}/1`,
          requester: task.chain,
          commit: SHA,
          base: SHA,
          subject: 'alpha: do it',
          body: 'Done.',
        },
      },
    ]);
    expect(handoffs).toMatchObject([
      { queued: true, taskId: 'alpha', attempt: 1, handoff: { status: 'complete', commit: SHA } },
    ]);
    expect(outcomes).toMatchObject([{ outcome: LANDED, conflicts: 0 }]);
    expect(await task.task.result()).toMatchObject({ handoff: handoffs[0]?.handoff, outcome: LANDED });
  }, 30_000);

  test('is one handoff and one request, also where it is not heard that the queue took it', async () => {
    const task = await stage.started({ ...CLOSES, ' collectWork': [COLLECTED], ' handOff': ['took it', LANDED] });
    const { handoffs, outcomes } = await task.told();
    const [first, second] = asked(task);
    expect(second).toEqual(first);
    expect(handoffs.length).toBeGreaterThan(1);
    expect(new Set(handoffs.map(({ id }) => id)).size).toBe(1);
    expect(outcomes).toMatchObject([{ outcome: LANDED }]);
    expect(await task.scheduled()).toEqual(['holdSandbox', 'collectWork', 'handOff']);
  }, 30_000);

  test('that is lost with its sandbox is collected in another one, as the same commit', async () => {
    const { ends, lose } = losable();
    const gone = lose(terminal(FailureType.SandboxGone, 'the sandbox is gone'));
    const task = await stage.started({
      ...CLOSES,
      ' holdSandbox ends': [ends],
      ' collectWork': [gone, COLLECTED],
      ' handOff': [LANDED],
    });
    await task.told();
    const [first, second] = task.collects();
    expect(second).toEqual({ ...first, again: true, sandbox: { ...first?.sandbox, id: 's-2', epoch: 2 } });
    expect(first).toHaveProperty('at', expect.any(Number));
    expect(await task.status()).toBe('COMPLETED');
  }, 30_000);
});

describe('a task whose work is not to land', () => {
  test.each([
    ['makes tests weaker', { tamper: WEAKENED }, { status: 'blocked', held: { by: 'tamper', commit: SHA } }],
    ['changes nothing', { commit: undefined, filesChanged: [] }, { status: 'complete' }],
  ])(
    'as it %s queues nothing',
    async (_, collected, handoff) => {
      const task = await stage.started(
        {
          ...CLOSES,
          ' collectWork': [{ ...COLLECTED, ...collected }],
          ' handOff': [LANDED],
          ' enqueueMerge': [LANDED],
        },
        { tamper: 'hold' },
      );
      const { handoffs, outcomes } = await task.told();
      expect(task.asked()).toEqual([]);
      expect(handoffs).toMatchObject([{ queued: false, handoff }]);
      expect(outcomes).toEqual([]);
    },
    30_000,
  );

  test('as people approve it first hands it off, and asks the queue nothing', async () => {
    const task = await stage.started({ ...CLOSES, ' collectWork': [COLLECTED] }, { approvals: ['merge'] });
    await expect.poll(async () => (await task.heard()).handoffs, { timeout: 20_000 }).toHaveLength(1);
    expect(await task.scheduled()).toEqual(['holdSandbox', 'collectWork', 'handOff']);
    expect((await task.heard()).handoffs).toMatchObject([{ queued: true, handoff: { commit: SHA } }]);
    await task.task.cancel();
    await task.told();
    expect(task.asked()).toEqual([]);
    expect(await task.scheduled()).not.toContain('enqueueMerge');
  }, 30_000);
});

describe('a task that does not hear what became of its work', () => {
  test('as it is cancelled after it has landed says that it has', async () => {
    const task = await stage.started({ ...CLOSES, ' collectWork': [COLLECTED], ' handOff': [{ unheard: LANDED }] });
    await expect.poll(() => task.asked().length, { timeout: 20_000 }).toBe(1);
    await task.task.cancel();
    const { outcomes } = await task.told();
    expect(outcomes).toMatchObject([{ outcome: LANDED }]);
    expect(await task.status()).toBe('CANCELLED');
  }, 30_000);

  test('as it is cancelled while that is queued says so, and that it may have landed', async () => {
    const task = await stage.started({ ...CLOSES, ' collectWork': [COLLECTED] });
    await task.until(' handOff');
    await task.task.cancel();
    const { handoffs, outcomes } = await task.told();
    expect(handoffs).toMatchObject([{ queued: true, handoff: { status: 'complete', commit: SHA } }]);
    expect(outcomes).toMatchObject([
      { outcome: { kind: 'ejected', reason: expect.stringContaining('may have landed') } },
    ]);
    expect(await task.status()).toBe('CANCELLED');
  }, 30_000);

  test('as that could not be collected has failed, and nothing of it may land', async () => {
    const refused = terminal(FailureType.PushRefused, 'the remote takes nothing');
    const task = await stage.started({ ...CLOSES, ' collectWork': [refused] });
    const { handoffs, outcomes } = await task.told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed' } }]);
    expect(outcomes).toEqual([]);
    expect(task.asked()).toEqual([]);
    expect(await task.status()).toBe('COMPLETED');
  }, 30_000);
});
