/** Runs whose budget runs out. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Play, step, write } from '../../examples/scripted-model/steps.ts';
import { bareRepository } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';
import { temporal } from '../support/temporal.ts';

/** Never hands off by itself, and reads back what it wrote: each turn is longer than the one before. */
const insatiable = (id: string) => (): Play => ({
  steps: Array.from({ length: 300 }, (_, i) =>
    step(`Step ${i + 1}. ${'More of it. '.repeat(60)}`, write(`${id}/${i + 1}.txt`, `${i + 1}\n`)),
  ),
  handoff: { status: 'complete', summary: 'All steps.' },
});

const spending: Scenario = {
  plan: () => ({
    tasks: [
      planned('frugal', { priority: 1 }),
      ...['greedy-a', 'greedy-b', 'greedy-c'].map((id) => planned(id, { dependsOn: ['frugal'] })),
      planned('unreached', { dependsOn: ['greedy-a'] }),
    ],
    done: true,
  }),
  tasks: {
    frugal: writes({ 'frugal.txt': 'frugal\n' }),
    'greedy-a': insatiable('greedy-a'),
    'greedy-b': insatiable('greedy-b'),
    'greedy-c': insatiable('greedy-c'),
    unreached: writes({ 'unreached.txt': 'unreached\n' }),
  },
};

const TOTAL = 300_000;

describe('a budget that runs out', () => {
  let swarm: Swarm;

  beforeAll(async () => {
    const server = await temporal();
    swarm = await Swarm.start({
      client: await server.client(),
      address: server.address,
      taskQueue: server.uniqueQueue(),
      script: scenarioScript({ spending }),
    });
  }, 60_000);

  afterAll(async () => {
    await swarm?.stop();
  });

  it('is not exceeded; agents hand off, no other starts, and the report says so', async () => {
    const origin = bareRepository(join(swarm.dir, 'spending.git'));
    const report = await swarm.run('budget-spending', {
      repo: origin.dir,
      spec: specOf('spending'),
      branch: 'main',
      settings: { budget: { tokens: TOTAL }, maxOutputTokens: 1_000, maxAttempts: 9, agent: {} },
    });
    expect(report.status).toBe('incomplete');
    expect(report.reason).toContain('the budget is spent');
    expect(report.reason).toContain('unreached');
    const spent = report.inputTokens + report.outputTokens;
    expect(report.budget).toEqual({ total: { tokens: TOTAL }, spent: { tokens: spent, usd: report.costUsd } });
    expect(spent).toBeLessThanOrEqual(TOTAL);
    // Nearly all of it was there to be used.
    expect(spent).toBeGreaterThan(TOTAL * 0.7);
    const task = (id: string) => report.tasks.find((each) => each.id === id);
    expect(task('frugal')).toMatchObject({ status: 'complete', branch: 'landed' });
    expect(task('greedy-a')?.status).not.toBe('complete');
    expect(task('unreached')).toMatchObject({ status: 'cancelled', branch: 'none' });
    // What they had done is kept.
    expect(task('greedy-b')?.ref).toMatch(/^refs\/agentswarm\/runs\/budget-spending\//);
    expect(Object.keys(origin.files())).toEqual(['README.md', 'frugal.txt']);
    await swarm.settled();
  }, 120_000);
});
