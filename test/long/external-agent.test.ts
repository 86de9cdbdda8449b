/** An external agent whose worker is killed, that people talk to, whose budget is spent, and what it can give away. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { describe, expect, it } from 'vitest';
import { type Conversation, rounds, userTexts } from '../../examples/scripted-model/conversation.ts';
import { write } from '../../examples/scripted-model/steps.ts';
import { steerUpdate } from '../../src/shared/messages.ts';
import { readableText } from '../histories/store.ts';
import { canariesBelow, canariesIn, canary } from '../support/canaries.ts';
import { planned, type Scenario, scenarioScript } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const KEY = canary('provider');
const AGENT = {
  'README.md': '# x\n',
  'agent.mjs': readFileSync(new URL('../support/simple-agent.mjs', import.meta.url), 'utf8'),
};
const agent = { engine: 'command' as const, argv: ['node', 'agent.mjs'] };

/** Writes a file a turn, `turns` times at most, until its model was told what `stop` says. */
const writing = (id: string, turns: number, stop = 'never said'): Scenario => ({
  plan: () => ({ tasks: [planned(id)], done: true }),
  tasks: {
    [id]: (_, conversation: Conversation) => {
      const number = rounds(conversation).length;
      if (userTexts(conversation).some((text) => text.includes(stop))) return { text: 'Told.', calls: [] };
      if (number === turns) return { text: `Wrote ${number} files.`, calls: [] };
      return { text: 'I write.', calls: [write(`${id}-${number}.txt`, 'x\n')] };
    },
  },
});

describe('an external agent', () => {
  const swarm = useSwarm({
    script: scenarioScript({
      crashed: writing('crashed', 8),
      steered: writing('steered', 400, 'Say goodbye'),
      poor: writing('poor', 400),
    }),
    latencyMs: 400,
    apiKey: KEY.value,
    env: { PATH: `${join(process.execPath, '..')}:${process.env.PATH}` },
  });
  const askedFor = (task: string) => swarm.requests(task).filter(({ status }) => status === 200);
  const start = async (name: string, more: object = {}) => {
    const settings = { agent: { ...agent, ...more }, maxAttempts: 1 };
    return (await swarm.startScenario(`external-${name}`, name, { files: AGENT, settings })).handle;
  };

  /** Calls that the agent's activity has told the server of. */
  async function told(workflowId: string): Promise<number> {
    const { raw } = await swarm.client.workflow.getHandle(workflowId).describe();
    const beat = raw.pendingActivities?.find(
      ({ activityType }) => activityType?.name === 'runCommand',
    )?.heartbeatDetails;
    const data = beat?.payloads?.[0]?.data;
    return data == null
      ? 0
      : (JSON.parse(Buffer.from(data).toString()) as { metrics: { turns: number } }).metrics.turns;
  }

  it('is started again when its worker was killed, and what it had asked before is counted', async () => {
    const handle = await start('crashed');
    let before = 0;
    for (; before < 2; await sleep(100)) before = await told('external-crashed/crashed.1/agent').catch(() => 0);
    await swarm.killWorker();
    await swarm.startWorker();
    expect(await handle.result()).toMatchObject({ status: 'complete', landed: 1 });
    const { handoff } = await swarm.resultOf('external-crashed/crashed.1');
    expect(handoff.summary).toContain('Wrote 8 files.');
    const asked = askedFor('crashed').length;
    expect(asked).toBeGreaterThanOrEqual(9 + before);
    expect(handoff.metrics.turns).toBeGreaterThanOrEqual(9 + before);
    expect(handoff.metrics.turns).toBeLessThanOrEqual(asked);
  }, 120_000);

  it('is told what people say to it, between two of its own messages', async () => {
    const handle = await start('steered');
    for (; askedFor('steered').length < 2; await sleep(100));
    await handle.executeUpdate(steerUpdate, { args: [{ text: 'Say goodbye.', task: 'steered' }] });
    await handle.result();
    const { handoff } = await swarm.resultOf('external-steered/steered.1');
    expect(handoff).toMatchObject({ status: 'complete', summary: expect.stringContaining('Told.') });
    expect(handoff.metrics.turns).toBeLessThan(100);
  }, 120_000);

  it('gets no call beyond its limit of money, and what there is is handed off as partial', async () => {
    const worker = { turns: 500, tokens: 10_000_000, minutes: 60, costUsd: 0.001 };
    const handle = await start('poor', { worker });
    await handle.result();
    const { handoff } = await swarm.resultOf('external-poor/poor.1');
    expect(handoff.status).toBe('partial');
    expect(handoff.concerns[0]).toMatch(/The limit of 0.001 USD is reached/);
    const costs = askedFor('poor').map(({ inputTokens, outputTokens }) => (inputTokens + 2 * outputTokens) / 1e6);
    const sum = costs.reduce((all, each) => all + each, 0);
    // Reached by the last call, and not before it.
    expect(sum).toBeGreaterThanOrEqual(0.001);
    expect(sum - (costs.at(-1) ?? 0)).toBeLessThan(0.001);
    expect(handoff.metrics.costUsd).toBeCloseTo(sum, 9);
  }, 120_000);

  it('left no provider key anywhere, and no token of its gateway in histories, logs and files of the host', async () => {
    const histories: string[] = [];
    for (const id of ['external-crashed/crashed.1/agent', 'external-steered/steered.1/agent', 'external-poor/poor.1']) {
      histories.push(readableText(JSON.parse(historyToJSON(await swarm.client.workflow.getHandle(id).fetchHistory()))));
    }
    const log = readFileSync(swarm.logFile, 'utf8');
    expect(canariesIn(histories.join('\n') + log, [KEY])).toEqual([]);
    expect(canariesBelow(swarm.stateDir, [KEY])).toEqual([]);
    // The agent has printed its token: what is kept of that is what stands in its place.
    expect(histories.join('\n')).toContain('my key is [token]');
    expect(histories.join('\n') + log).not.toMatch(/my key is [0-9a-f]{8}/);
  });
});
