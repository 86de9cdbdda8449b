/** What people do to a run while it goes on: steer, pause, resume, cancel, terminate. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { type Conversation, userTexts } from '../../examples/scripted-model/conversation.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { pauseUpdate, resumeUpdate, snapshotQuery, steerUpdate } from '../../src/shared/messages.ts';
import { PLANNER_TEXT } from '../../src/shared/planner/text.ts';
import { fileOn } from '../support/branches.ts';
import { chainRuns } from '../support/chain-runs.ts';
import { planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { refusal, thrownBy } from '../support/thrown.ts';
import { useSwarm } from '../support/use-swarm.ts';

const STEERING = 'Also write a file named wanted.txt.';
const heardSteering = (conversation: Conversation): boolean => userTexts(conversation).join('\n').includes(STEERING);

const steered: Scenario = {
  plan: (_view, conversation) => ({
    tasks: [planned('patient'), ...(heardSteering(conversation) ? [planned('wanted')] : [])],
    done: true,
  }),
  tasks: {
    patient: slowly('patient', 12),
    wanted: (attempt, conversation) =>
      writes({ 'wanted.txt': heardSteering(conversation) ? 'told\n' : 'not told\n' })(),
  },
};

const cancelled: Scenario = {
  plan: () => ({
    tasks: [
      planned('early'),
      planned('endless-a', { dependsOn: ['early'] }),
      planned('endless-b', { dependsOn: ['early'] }),
      planned('never', { dependsOn: ['endless-a'] }),
    ],
    done: true,
  }),
  tasks: {
    early: writes({ 'early.txt': 'early\n' }),
    'endless-a': slowly('endless-a', 400),
    'endless-b': slowly('endless-b', 400),
    never: writes({ 'never.txt': 'never\n' }),
  },
};

const toggled: Scenario = {
  plan: () => ({ tasks: [planned('endless-c')], done: true }),
  tasks: { 'endless-c': slowly('endless-c', 400) },
};

const terminated: Scenario = {
  plan: () => ({ tasks: ['orphan-a', 'orphan-b', 'orphan-c'].map((id) => planned(id)), done: true }),
  tasks: {
    'orphan-a': slowly('orphan-a', 400),
    'orphan-b': slowly('orphan-b', 400),
    'orphan-c': slowly('orphan-c', 400),
  },
};

describe('control', () => {
  const swarm = useSwarm({
    script: scenarioScript({ steered, cancelled, toggled, terminated }),
    latencyMs: 300,
    // One task of the terminated run waits for a sandbox.
    config: { sandbox: { maxSandboxes: 2 } },
  });
  const asked = (task: string): number => swarm.requests(task).length;

  it('a paused run asks no model; resumed, it goes on, and steering reaches the next plan and new tasks', async () => {
    const { origin, handle } = await swarm.startScenario('control-steered', 'steered');
    await swarm.untilAsked('patient', 2);
    expect(await refusal(handle.executeUpdate(resumeUpdate))).toBe(PLANNER_TEXT.notPaused);
    expect(await refusal(handle.executeUpdate(steerUpdate, { args: [{ text: ' ' }] }))).toContain('text: it is empty');

    expect(await handle.executeUpdate(pauseUpdate, { args: [{ reason: 'lunch' }] })).toBe(PLANNER_TEXT.paused);
    expect(await refusal(handle.executeUpdate(pauseUpdate, { args: [{}] }))).toBe(PLANNER_TEXT.cannotPause);
    const paused = await handle.query(snapshotQuery);
    expect(paused.paused?.reason).toBe('lunch');
    expect(paused.waitingFor).toContain('lunch');
    await sleep(2_000);
    const before = asked('patient');
    await sleep(4_000);
    expect(asked('patient')).toBe(before);

    expect(await handle.executeUpdate(steerUpdate, { args: [{ text: STEERING }] })).toBe(PLANNER_TEXT.steered);
    expect(await handle.executeUpdate(resumeUpdate)).toBe(PLANNER_TEXT.resumed);
    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ status: 'complete', landed: 2, replans: 1 });
    expect(fileOn(origin.dir, 'main', 'patient/12.txt')).toBe('12\n');
    expect(fileOn(origin.dir, 'main', 'wanted.txt')).toBe('told\n');
    await swarm.settled();
  }, 120_000);

  it('a cancelled run cancels its tasks and leaves nothing but what had landed', async () => {
    const { origin, handle } = await swarm.startScenario('control-cancelled', 'cancelled');
    await swarm.untilAsked('endless-a', 3);
    await swarm.untilAsked('endless-b', 3);
    await handle.cancel();
    await expectEnd(handle, CancelledFailure);
    const { tasks, phase } = await handle.query(snapshotQuery);
    expect(phase).toBe('done');
    expect(tasks.map(({ id, status, branch }) => [id, status, branch])).toEqual([
      ['early', 'complete', 'landed'],
      ['endless-a', 'cancelled', 'none'],
      ['endless-b', 'cancelled', 'none'],
      ['never', 'cancelled', 'none'],
    ]);
    await swarm.settled(5_000);
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
    expect(Object.keys(origin.files())).toEqual(['README.md', 'early.txt']);
    const closed = ['early', 'endless-a', 'endless-b'].map((id) => swarm.status(`control-cancelled/${id}.1`));
    expect(await Promise.all(closed)).toEqual(['COMPLETED', 'CANCELLED', 'CANCELLED']);
  }, 120_000);

  it('a paused run stays paused through continue-as-new, answers every update, and can be cancelled', async () => {
    const settings = { historyEvents: 100 };
    const { origin, handle } = await swarm.startScenario('control-toggled', 'toggled', { settings });
    await swarm.untilAsked('endless-c', 1);
    await handle.executeUpdate(pauseUpdate, { args: [{}] });
    for (let i = 0; i < 15; i++) {
      await handle.executeUpdate(resumeUpdate);
      await handle.executeUpdate(pauseUpdate, { args: [{ reason: `number ${i}` }] });
    }
    expect((await chainRuns(swarm.client, 'control-toggled')).length).toBeGreaterThanOrEqual(2);
    expect((await handle.query(snapshotQuery)).paused?.reason).toBe('number 14');
    await sleep(2_000);
    const before = asked('endless-c');
    await sleep(2_000);
    expect(asked('endless-c')).toBe(before);
    await handle.cancel();
    await expectEnd(handle, CancelledFailure);
    await swarm.settled(5_000);
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 120_000);

  it('the tasks of a terminated run notice it, ask no model any more, and their sandboxes go', async () => {
    const { origin, handle } = await swarm.startScenario('control-terminated', 'terminated');
    const orphans = () => swarm.requests(...Object.keys(terminated.tasks));
    // Two of the three have a sandbox; which is not said.
    await expect.poll(() => orphans().length, { timeout: 60_000 }).toBeGreaterThanOrEqual(4);
    expect(swarm.sandboxes()).toHaveLength(2);
    const at = Date.now();
    await handle.terminate('a test');
    await swarm.settled(70_000);
    const requests = orphans();
    const last = Math.max(...requests.map(({ receivedAt }) => receivedAt));
    expect(last - at).toBeLessThan(60_000);
    await sleep(2_000);
    expect(orphans()).toHaveLength(requests.length);
    expect(Object.keys(origin.files())).toEqual(['README.md']);
  }, 120_000);

  async function expectEnd(handle: WorkflowHandle, cause: new (...argv: never[]) => Error): Promise<void> {
    const error = await thrownBy(handle.result());
    if (!(error instanceof WorkflowFailedError)) throw error;
    expect(error.cause).toBeInstanceOf(cause);
  }
});
