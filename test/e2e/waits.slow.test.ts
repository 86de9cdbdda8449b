/** What a run does while it waits for people or for workers: time alone, continue-as-new, conflicts, divisions. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Conversation, userTexts } from '../../examples/scripted-model/conversation.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import {
  addTaskUpdate,
  approveUpdate,
  pauseUpdate,
  rejectUpdate,
  resumeUpdate,
  setLimitsUpdate,
} from '../../src/shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../src/shared/planner/text.ts';
import { fileOn } from '../support/branches.ts';
import { chainRuns } from '../support/chain-runs.ts';
import { atOnce, planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { refusal } from '../support/thrown.ts';
import { useSwarm } from '../support/use-swarm.ts';

const heard = (conversation: Conversation, words: string): boolean =>
  userTexts(conversation).join('\n').includes(words);

/** A plan that nobody answers is followed by another, of nothing. */
const unanswered: Scenario = {
  plan: (_view, conversation) => ({
    tasks: heard(conversation, 'nobody decided on it') ? [] : [planned('late')],
    done: true,
  }),
  tasks: { late: writes({ 'late.txt': 'never\n' }) },
};

const patient: Scenario = {
  plan: () => ({ tasks: [planned('awaited')], done: true }),
  tasks: { awaited: writes({ 'awaited.txt': 'here\n' }) },
};

const appends = (line: string) => () =>
  atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: `echo ${line} >> list.txt` } }] });

/** Both write the same line; what one of them has must not be in the other's approval. */
const asked: Scenario = {
  plan: (_view, conversation) => ({
    tasks: [planned('left'), planned('right'), ...(heard(conversation, 'Not in this way.') ? [planned('other')] : [])],
    done: true,
  }),
  tasks: { left: appends('left'), right: appends('right'), other: writes({ 'other.txt': 'other\n' }) },
  conflicts: () =>
    atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: "sed -i '/^[<=>|]/d' list.txt" } }] }),
};

const crowd: Scenario = {
  plan: () => ({
    tasks: [planned('alone'), planned('many', { divide: true }), planned('nested', { divide: true })],
    done: true,
  }),
  divisions: {
    many: () => ({ tasks: ['m-1', 'm-2', 'm-3', 'm-4', 'm-5'].map((id) => planned(id)), done: true }),
    nested: () => ({ tasks: [planned('inner', { divide: true })], done: true }),
    inner: () => ({ tasks: ['i-1', 'i-2', 'i-3'].map((id) => planned(id)), done: true }),
  },
  tasks: Object.fromEntries(
    ['alone', 'm-1', 'm-2', 'm-3', 'm-4', 'm-5', 'i-1', 'i-2', 'i-3', 'sweep-up'].map((id) => [id, slowly(id, 8)]),
  ),
};

/** Every conversation is too long after its first call. */
const long: Scenario = {
  plan: ({ complete }) => ({
    tasks: [planned('first'), ...(complete(['first']) ? [planned('second')] : [])],
    done: complete(['first']),
  }),
  tasks: { first: appends('first'), second: appends('second') },
};

describe('waiting', () => {
  const swarm = useSwarm({ script: scenarioScript({ unanswered, patient, asked, crowd, long }), latencyMs: 100 });
  /** Agents that worked at the same time, from the first question of each to its last answer. */
  function mostAtWork(): number {
    const spans = Object.keys(crowd.tasks).map((id) => {
      const times = swarm.requests(id).map(({ receivedAt, endedAt }) => [receivedAt, endedAt ?? Date.now()] as const);
      return { from: times[0]?.[0] ?? Infinity, to: times.at(-1)?.[1] ?? Infinity };
    });
    return Math.max(...spans.map(({ from }) => spans.filter((each) => each.from <= from && from < each.to).length));
  }
  const waiting = async (run: string, name: string) =>
    await swarm.until(run, ({ approvals = [] }) => approvals.some((each) => each.name === name));

  it('what nobody decides on in the time that is configured is rejected, and the planner is told', async () => {
    const { origin, report } = await swarm.runScenario('waits-unanswered', 'unanswered', {
      settings: { approvals: ['plan'], approval: { remindMinutes: 0.01, rejectAfterMinutes: 0.05 } },
    });
    expect(report).toMatchObject({ landed: 0, replans: 1 });
    const reason = PLANNER_TEXT.planRejected(RUN_TEXT.notApprovedInTime(0.05));
    expect(report.tasks).toMatchObject([{ id: 'late', status: 'cancelled', reason }]);
    expect(swarm.requests('late')).toEqual([]);
    expect(Object.keys(origin.files())).toEqual(['README.md']);
  }, 60_000);

  it('without such a time nothing is rejected: it is reminded of, also by a run that continued as new, and approved', async () => {
    const { handle } = await swarm.startScenario('waits-patient', 'patient', {
      settings: { approvals: ['plan'], approval: { remindMinutes: 0.01 }, historyEvents: 50 },
    });
    await waiting('waits-patient', 'plan-1');
    for (let i = 0; i < 8; i++) {
      await handle.executeUpdate(pauseUpdate, { args: [{}] });
      await handle.executeUpdate(resumeUpdate);
    }
    const { approvals } = await waiting('waits-patient', 'plan-1');
    const runs = await chainRuns(swarm.client, 'waits-patient');
    expect(runs.length).toBeGreaterThanOrEqual(2);
    const [before] = approvals ?? [];
    await swarm.until('waits-patient', ({ approvals: [now] = [] }) => {
      return now !== undefined && now.reminders > (before?.reminders ?? 0) && now.since === before?.since;
    });
    await handle.executeUpdate(approveUpdate, { args: [{}] });
    expect((await handle.result()) as RunReport).toMatchObject({ status: 'complete', landed: 1, replans: 0 });
  }, 60_000);

  it('a commit that is made to resolve a conflict is approved by itself, and a rejection reaches the planner', async () => {
    const { origin, handle } = await swarm.startScenario('waits-asked', 'asked', {
      files: { 'list.txt': 'top\n' },
      settings: { approvals: ['merge'] },
    });
    const commitOf = async (name: string, not?: string): Promise<string> => {
      const { approvals = [] } = await swarm.until('waits-asked', ({ approvals: now = [] }) =>
        now.some((each) => each.name === name && each.commit !== not),
      );
      return approvals.find((each) => each.name === name)?.commit ?? '';
    };
    await commitOf('left');
    const first = await commitOf('right');
    await handle.executeUpdate(approveUpdate, { args: [{ name: 'left' }] });
    await swarm.until('waits-asked', ({ landed }) => landed === 1);
    await handle.executeUpdate(approveUpdate, { args: [{ name: 'right' }] });
    const second = await commitOf('right', first);
    expect(origin.git('show', `${second}:list.txt`)).toMatch(/left[^]*right|right[^]*left/);
    expect((await swarm.until('waits-asked', () => true)).landed).toBe(1);
    await handle.executeUpdate(rejectUpdate, { args: [{ name: 'right', reason: 'Not in this way.' }] });
    // The script does what was lost once more, and what it heard.
    await commitOf('other');
    await commitOf('right-r2');
    await handle.executeUpdate(approveUpdate, { args: [{ all: true }] });
    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ landed: 3, conflicts: 1 });
    expect(report.tasks.find(({ id }) => id === 'right')?.reason).toContain('Not in this way.');
    expect(fileOn(origin.dir, 'main', 'list.txt')).toBe('top\nleft\nright\n');
  }, 90_000);

  it('all divisions of a run together have its workers, and those more that people allow; a division has its own limits', async () => {
    const { handle } = await swarm.startScenario('waits-crowd', 'crowd', { settings: { maxWorkers: 3 } });
    const many = swarm.client.workflow.getHandle('waits-crowd/many.1');
    await swarm.untilAsked('m-1');
    await swarm.untilAsked('i-1');
    await sleep(1_000);
    expect(mostAtWork()).toBe(3);
    await handle.executeUpdate(setLimitsUpdate, { args: [{ maxWorkers: 5 }] });
    expect(await refusal(many.executeUpdate(setLimitsUpdate, { args: [{ budget: { usd: 1 } }] }))).toBe(
      PLANNER_TEXT.notLimited,
    );
    expect(await refusal(many.executeUpdate(addTaskUpdate, { args: [{ description: 'Do m-1.' }] }))).toContain('m-1');
    const added = await many.executeUpdate(addTaskUpdate, { args: [{ description: 'Sweep up.' }] });
    expect(added).toBe(PLANNER_TEXT.added('sweep-up'));
    const report = (await handle.result()) as RunReport;
    expect(mostAtWork()).toBe(5);
    expect(report).toMatchObject({ status: 'complete', landed: 10, peakParallel: 5 });
    const below = report.tasks.find(({ id }) => id === 'many')?.subtasks?.map(({ id }) => id);
    expect(below).toEqual(['m-1', 'm-2', 'm-3', 'm-4', 'm-5', 'sweep-up']);
  }, 120_000);

  it('one worker is enough for divisions within divisions', async () => {
    const { report } = await swarm.runScenario('waits-one', 'crowd', { settings: { maxWorkers: 1 } });
    expect(report).toMatchObject({ status: 'complete', landed: 9, peakParallel: 1 });
  }, 120_000);

  it('a conversation of the planner that got too long is begun anew, which is no failure of planning', async () => {
    const { report } = await swarm.runScenario('waits-long', 'long', {
      settings: { compactTokens: 1_000, planningFailures: 1 },
    });
    expect(report).toMatchObject({ status: 'complete', landed: 2, replans: 1 });
  }, 60_000);
});
