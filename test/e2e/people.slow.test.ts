/** What people decide while a run goes on: approvals, orders about tasks, limits, an end in good order. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { type Conversation, userTexts } from '../../examples/scripted-model/conversation.ts';
import { check, type Play, step } from '../../examples/scripted-model/steps.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import {
  addTaskUpdate,
  approveUpdate,
  cancelUpdate,
  finishUpdate,
  pauseUpdate,
  rejectUpdate,
  retryTaskUpdate,
  setLimitsUpdate,
  steerUpdate,
} from '../../src/shared/messages.ts';
import { PLANNER_TEXT } from '../../src/shared/planner/text.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { refusal } from '../support/thrown.ts';
import { useSwarm } from '../support/use-swarm.ts';

const heard = (conversation: Conversation, words: string): boolean =>
  userTexts(conversation).join('\n').includes(words);

/** The first plan is not liked; the tasks of the second are, but not all of their work is. */
const decided: Scenario = {
  plan: (_view, conversation) => ({
    tasks: heard(conversation, 'in halves')
      ? [planned('half-a'), planned('halves', { divide: true })]
      : [planned('at-once')],
    done: true,
  }),
  divisions: { halves: () => ({ tasks: [planned('half-b')], done: true }) },
  tasks: {
    'at-once': writes({ 'at-once.txt': 'never\n' }),
    'half-a': writes({ 'a.txt': 'a\n' }),
    'half-b': writes({ 'b.txt': 'b\n' }),
  },
};

const WORD = 'The word is abracadabra.';

/** A chain, of which each reads what the one before has landed, and one that fails until it is told a word. */
const ordered: Scenario = {
  plan: () => ({
    tasks: [
      planned('one'),
      planned('two', { dependsOn: ['one'] }),
      planned('three', { dependsOn: ['two'] }),
      planned('closed'),
      planned('behind', { dependsOn: ['closed'] }),
      planned('doorkeeper'),
    ],
    done: true,
  }),
  tasks: {
    one: writes({ 'chain.txt': '1\n' }),
    two: () => chained('1', '2'),
    three: () => chained('2', '3'),
    closed: (_attempt, conversation) =>
      heard(conversation, WORD)
        ? writes({ 'closed.txt': 'open\n' })()
        : { steps: [], handoff: { status: 'failed', summary: 'Nobody said the word.' } },
    behind: writes({ 'behind.txt': 'in\n' }),
    // Holds the run open until a person says that it may go.
    doorkeeper: (_attempt, conversation) =>
      heard(conversation, 'You may go.') ? writes({ 'gone.txt': 'gone\n' })() : slowly('doorkeeper', 400)(),
    'wash-up': writes({ 'washed.txt': 'washed\n' }),
  },
};

const chained = (before: string, after: string): Play => ({
  steps: [
    check('Is it there?', `test "$(tail -1 chain.txt)" = ${before}`),
    step('On.', { name: 'bash', arguments: { command: `echo ${after} >> chain.txt` } }),
  ],
  handoff: { status: 'complete', summary: after },
});

const stopped: Scenario = {
  plan: () => ({
    tasks: [planned('long'), planned('family', { divide: true }), planned('after', { dependsOn: ['long'] })],
    done: true,
  }),
  divisions: {
    family: (_view, conversation) => ({
      tasks: [planned('child'), ...(heard(conversation, 'Have a sister.') ? [planned('sister')] : [])],
      done: true,
    }),
  },
  tasks: {
    long: slowly('long', 400),
    child: slowly('child', 400),
    sister: slowly('sister', 400),
    after: writes({ 'after.txt': 'after\n' }),
  },
};

const finished: Scenario = {
  plan: () => ({
    tasks: [planned('house', { divide: true }), planned('garden', { dependsOn: ['house'] })],
    done: true,
  }),
  divisions: {
    house: () => ({ tasks: [planned('walls'), planned('roof', { dependsOn: ['walls'] })], done: true }),
  },
  tasks: {
    walls: (_attempt, conversation) =>
      heard(conversation, 'Come to an end.') ? writes({ 'walls.txt': 'up\n' })() : slowly('walls', 400)(),
    roof: writes({ 'roof.txt': 'on\n' }),
    garden: writes({ 'garden.txt': 'green\n' }),
  },
};

describe('people', () => {
  const told: { body: Record<string, unknown>; authorization: string | undefined }[] = [];
  const webhook = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      told.push({
        body: JSON.parse(body) as Record<string, unknown>,
        authorization: request.headers.authorization,
      });
      response.end();
    });
  });

  const swarm = useSwarm(async () => {
    await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
    return {
      script: scenarioScript({ decided, ordered, stopped, finished }),
      latencyMs: 100,
      env: {
        AGENTSWARM_WEBHOOK_URL: `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/secret-path`,
        AGENTSWARM_WEBHOOK_TOKEN: 'webhook-token',
      },
    };
  });
  afterAll(() => void webhook.close());

  it('plans and landings wait for a person at every level; rejected ones do not begin, and do not land', async () => {
    const { origin, handle } = await swarm.startScenario('people-decided', 'decided', {
      settings: { approvals: ['plan', 'merge'] },
    });
    const waiting = async (...names: string[]) =>
      await swarm.until('people-decided', ({ approvals = [] }) => {
        const asked = approvals.map(({ name }) => name);
        return names.every((name) => asked.includes(name));
      });
    const first = await waiting('plan-1');
    expect(first.waitingFor).toContain('a person: 1 approval');
    expect(first.counts).toMatchObject({ pending: 1, running: 0 });
    expect(await refusal(handle.executeUpdate(approveUpdate, { args: [{ name: 'plan-9' }] }))).toBe(
      PLANNER_TEXT.waitsNot('plan-9', ['plan-1']),
    );
    expect(await refusal(handle.executeUpdate(rejectUpdate, { args: [{ reason: ' ' }] }))).toContain('reason');
    await handle.executeUpdate(rejectUpdate, { args: [{ reason: 'Do it in halves.' }] });
    await waiting('plan-2');
    await handle.executeUpdate(approveUpdate, { args: [{}] });
    await waiting('halves/plan-1', 'half-a');
    await handle.executeUpdate(approveUpdate, { args: [{ name: 'halves/plan-1' }] });
    const both = await waiting('half-a', 'halves/half-b');
    expect(both.landed).toBe(0);
    await expect.poll(() => swarm.sandboxes(), { timeout: 20_000 }).toEqual([]);
    await handle.executeUpdate(rejectUpdate, { args: [{ name: 'half-a', reason: 'Too short.' }] });
    await handle.executeUpdate(approveUpdate, { args: [{ all: true }] });
    const left = await swarm.until('people-decided', ({ approvals = [], tasks }) => {
      const a = tasks.find(({ id }) => id === 'half-a');
      return a?.branch === 'ejected' && approvals.some(({ name }) => name === 'plan-3');
    });
    expect(left.tasks.find(({ id }) => id === 'half-a')?.reason).toContain('Too short.');
    await handle.executeUpdate(rejectUpdate, { args: [{ reason: 'Enough.' }] });
    expect(((await handle.result()) as RunReport).status).toBe('incomplete');
    expect(Object.keys(origin.files())).toEqual(['README.md', 'b.txt']);

    expect(told.some(({ body }) => String(body.text).includes('plan plan-1: 1 task: at-once'))).toBe(true);
    expect(new Set(told.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer webhook-token']));
    const log = swarm.logTail(1_000_000);
    expect(log).toContain('agentswarm approve people-decided plan-1');
    expect(log).not.toContain('secret-path');
    expect(log).not.toContain('webhook-token');
    await swarm.settled();
  }, 120_000);

  it('people add tasks, have them tried again, and change limits; each order is refused at once where it is wrong', async () => {
    const { origin, handle } = await swarm.startScenario('people-ordered', 'ordered', {
      settings: { maxWorkers: 1, maxAttempts: 1 },
    });
    await swarm.until('people-ordered', ({ tasks }) => tasks.length === 6);
    expect((await handle.executeUpdate(setLimitsUpdate, { args: [{ maxWorkers: 4 }] })).length).toBeGreaterThan(0);
    expect(await refusal(handle.executeUpdate(setLimitsUpdate, { args: [{}] }))).toContain('at least one limit');
    await swarm.until('people-ordered', ({ tasks }) =>
      tasks.some(({ id, status }) => id === 'behind' && status === 'cancelled'),
    );
    const orders = [
      handle.executeUpdate(retryTaskUpdate, { args: [{ task: 'nobody' }] }),
      handle.executeUpdate(retryTaskUpdate, { args: [{ task: 'behind' }] }),
      handle.executeUpdate(retryTaskUpdate, { args: [{ task: 'doorkeeper' }] }),
      handle.executeUpdate(addTaskUpdate, { args: [{ description: 'Wash up.', dependsOn: ['nobody'] }] }),
      handle.executeUpdate(addTaskUpdate, { args: [{ description: 'Do one.' }] }),
      handle.executeUpdate(setLimitsUpdate, { args: [{ budget: { usd: 0 } }] }),
    ];
    const refusals = await Promise.all(orders.map(refusal));
    expect(refusals[0]).toBe(PLANNER_TEXT.noTask('nobody'));
    expect(refusals[1]).toBe(PLANNER_TEXT.dependsOnLost('behind', 'closed'));
    expect(refusals[2]).toBe(PLANNER_TEXT.notLost('doorkeeper', 'running'));
    expect(refusals[3]).toContain('depends on "nobody"');
    expect(refusals[4]).toContain('asks for the same as "one"');
    expect(refusals[5]).toContain('is spent already');

    const again = await handle.executeUpdate(retryTaskUpdate, { args: [{ task: 'closed', text: WORD }] });
    expect(again).toBe(PLANNER_TEXT.retrying(['closed', 'behind']));
    const added = await handle.executeUpdate(addTaskUpdate, { args: [{ description: 'Wash up.' }] });
    expect(added).toBe(PLANNER_TEXT.added('wash-up'));
    await swarm.until('people-ordered', ({ landed }) => landed === 6);
    await handle.executeUpdate(steerUpdate, { args: [{ task: 'doorkeeper', text: 'You may go.' }] });
    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ status: 'complete', landed: 7, retries: 2 });
    expect(report.peakParallel).toBeGreaterThan(1);
    expect(report.tasks.find(({ id }) => id === 'closed')).toMatchObject({ attempts: 2 });
    expect(report.tasks.find(({ id }) => id === 'behind')).toMatchObject({ attempts: 1 });
    expect(fileOn(origin.dir, 'main', 'chain.txt')).toBe('1\n2\n3\n');
    const order = landedOn(origin.dir, 'main', report.base).map(({ subject }) => subject.split(':')[0] ?? '');
    expect(order.filter((id) => ['one', 'two', 'three'].includes(id))).toEqual(['one', 'two', 'three']);
    await swarm.settled();
  }, 120_000);

  it('a run that is cancelled in good order keeps what its agents had, at every level, also out of a pause', async () => {
    const { origin, handle } = await swarm.startScenario('people-stopped', 'stopped');
    await Promise.all([swarm.untilAsked('long'), swarm.untilAsked('child')]);
    // Said to the run, and heard by the planner of a division.
    await handle.executeUpdate(steerUpdate, { args: [{ text: 'Have a sister.' }] });
    await swarm.untilAsked('sister');
    await handle.executeUpdate(pauseUpdate, { args: [{ reason: 'thinking about it' }] });
    expect(await handle.executeUpdate(cancelUpdate, { args: [{ reason: 'Enough for today.' }] })).toBe(
      PLANNER_TEXT.cancelling(10),
    );
    expect(await refusal(handle.executeUpdate(addTaskUpdate, { args: [{ description: 'One more.' }] }))).toContain(
      'Enough for today.',
    );
    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ status: 'cancelled', landed: 0 });
    expect(report.reason).toContain('Enough for today.');
    const [long, family, after] = report.tasks;
    expect([long?.status, family?.status, after?.status]).toEqual(['failed', 'failed', 'cancelled']);
    const kept = [long?.ref, ...(family?.subtasks ?? []).map(({ ref }) => ref)];
    expect(kept).toEqual([
      'refs/agentswarm/runs/people-stopped/long.1',
      'refs/agentswarm/runs/people-stopped/family.1_child.1',
      'refs/agentswarm/runs/people-stopped/family.1_sister.1',
    ]);
    expect(new Set(origin.refs('refs/agentswarm/runs/'))).toEqual(new Set(kept));
    expect(Object.keys(origin.files())).toEqual(['README.md']);
    await swarm.settled();
    const ends = ['long.1', 'family.1', 'family.1/child.1'].map((id) => swarm.status(`people-stopped/${id}`));
    expect(await Promise.all(ends)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED']);
  }, 120_000);

  it('a run that is finished early begins nothing more at any level, and lands what is under way', async () => {
    const { origin, handle } = await swarm.startScenario('people-finished', 'finished');
    await swarm.untilAsked('walls');
    expect(await handle.executeUpdate(finishUpdate)).toBe(PLANNER_TEXT.finishing);
    expect(await refusal(handle.executeUpdate(finishUpdate))).toBe(PLANNER_TEXT.closing(PLANNER_TEXT.finishedByPerson));
    const house = swarm.client.workflow.getHandle('people-finished/house.1');
    await house.executeUpdate(steerUpdate, { args: [{ task: 'walls', text: 'Come to an end.' }] });
    const report = (await handle.result()) as RunReport;
    expect(report.status).toBe('incomplete');
    const [divided, garden] = report.tasks;
    expect(garden?.status).toBe('cancelled');
    expect(divided?.subtasks?.map(({ id, status, branch }) => [id, status, branch])).toEqual([
      ['walls', 'complete', 'landed'],
      ['roof', 'cancelled', 'none'],
    ]);
    expect(Object.keys(origin.files())).toContain('walls/1.txt');
    expect(Object.keys(origin.files())).not.toContain('roof.txt');
    await swarm.settled();
  }, 120_000);
});
