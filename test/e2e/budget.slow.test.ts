/** Runs whose budget runs out. */
import { describe, expect, it } from 'vitest';
import { planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

/** Never hands off by itself; each turn is longer than the one before. */
const insatiable = (id: string) => slowly(id, 300, 'More of it. '.repeat(60));

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
  const swarm = useSwarm({ script: scenarioScript({ spending }) });

  it('is not exceeded; agents hand off, no other starts, and the report says so', async () => {
    const { origin, report } = await swarm.runScenario('budget-spending', 'spending', {
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
