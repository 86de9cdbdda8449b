/** Fifty agents at once that spend until nothing is left. */
import { describe, expect, it } from 'vitest';
import { planned, type Scenario, scenarioScript, slowly } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const AGENTS = 50;
const TOTAL = 2_500_000;
const ids = Array.from({ length: AGENTS }, (_, i) => `greedy-${i}`);

/** They never hand off by themselves; each turn is longer than the one before. */
const fifty: Scenario = {
  plan: () => ({ tasks: ids.map((id) => planned(id)), done: true }),
  tasks: Object.fromEntries(ids.map((id) => [id, slowly(id, 300, 'More of it. '.repeat(250))])),
};

describe('a budget of fifty agents that runs out', () => {
  const swarm = useSwarm({
    script: scenarioScript({ fifty }),
    latencyMs: 200,
    config: { sandbox: { maxSandboxes: AGENTS } },
  });

  it('is exceeded by the calls in flight at most, and the report counts what the model was asked', async () => {
    const { report } = await swarm.runScenario('budget-fifty', 'fifty', {
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
