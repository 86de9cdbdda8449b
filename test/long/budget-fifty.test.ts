/** Fifty agents at once that spend until nothing is left. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Play, step, write } from '../../examples/scripted-model/steps.ts';
import { bareRepository } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';
import { temporal } from '../support/temporal.ts';

const AGENTS = 50;
const TOTAL = 2_500_000;
const ids = Array.from({ length: AGENTS }, (_, i) => `greedy-${i}`);

/** Never hands off by itself; each turn is longer than the one before. */
const insatiable = (id: string) => (): Play => ({
  steps: Array.from({ length: 300 }, (_, i) =>
    step(`Step ${i + 1}. ${'More of it. '.repeat(250)}`, write(`${id}.txt`, `${i + 1}\n`)),
  ),
  handoff: { status: 'complete', summary: 'All steps.' },
});

const fifty: Scenario = {
  plan: () => ({ tasks: ids.map((id) => planned(id)), done: true }),
  tasks: Object.fromEntries(ids.map((id) => [id, insatiable(id)])),
};

describe('a budget of fifty agents that runs out', () => {
  let swarm: Swarm;

  beforeAll(async () => {
    const server = await temporal();
    swarm = await Swarm.start({
      client: await server.client(),
      address: server.address,
      taskQueue: server.uniqueQueue(),
      script: scenarioScript({ fifty }),
      latencyMs: 200,
      config: { sandbox: { maxSandboxes: AGENTS } },
    });
  }, 60_000);

  afterAll(async () => {
    await swarm?.stop();
  });

  it('is exceeded by the calls in flight at most, and the report counts what the model was asked', async () => {
    const origin = bareRepository(join(swarm.dir, 'fifty.git'));
    const report = await swarm.run('budget-fifty', {
      repo: origin.dir,
      spec: specOf('fifty'),
      branch: 'main',
      settings: { maxWorkers: AGENTS, budget: { tokens: TOTAL }, maxOutputTokens: 1_000, maxAttempts: 1 },
    });
    const asked = swarm.model.log.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens);
    const spent = asked.reduce((sum, tokens) => sum + tokens, 0);
    const inFlight = AGENTS * Math.max(...asked);
    console.log(
      `${AGENTS} agents, ${asked.length} calls: ${spent} of ${TOTAL} tokens, ${Math.max(0, spent - TOTAL)} beyond; ` +
        `as many calls in flight as agents would be ${inFlight}`,
    );
    expect(report.peakParallel).toBe(AGENTS);
    expect(report.status).toBe('incomplete');
    expect(report.inputTokens + report.outputTokens).toBe(spent);
    expect(spent).toBeLessThanOrEqual(TOTAL + inFlight);
    expect(spent).toBeGreaterThan(TOTAL * 0.6);
    expect(report.undone?.length).toBeGreaterThanOrEqual(AGENTS);
    await swarm.settled(60_000);
  }, 230_000);
});
