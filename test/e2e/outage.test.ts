/** A worker that starts while no model can be reached: it waits, says so where people look, and then works. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import { planned, scenarioScript, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const KEY = 'canary-key-of-an-outage-1d5e';
const script = scenarioScript({
  late: { plan: () => ({ tasks: [planned('late')], done: true }), tasks: { late: writes({ 'late.txt': 'x\n' }) } },
});

/** Free when it is asked for; most likely still so a moment later. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('an outage of all models', () => {
  let model: ScriptedModel | undefined;
  let modelPort: number;
  let metricsUrl: string;
  const swarm = useSwarm(async () => {
    modelPort = await freePort();
    const bindAddress = `127.0.0.1:${await freePort()}`;
    metricsUrl = `http://${bindAddress}/metrics`;
    const endpoint = {
      name: 'later',
      provider: 'openai',
      baseUrl: `http://127.0.0.1:${modelPort}/v1`,
      apiKey: KEY,
      models: { default: 'scripted-1' },
      price: { input: 1, output: 2 },
      limits: { requestsPerMinute: 30 },
    };
    return {
      script,
      config: { metrics: { prometheus: { bindAddress } }, llm: { tellWaitSeconds: 3 } },
      endpoints: JSON.stringify([endpoint]),
    };
  });
  afterAll(() => model?.stop());

  /** Samples by name with tags, as they are exported. */
  async function samples(): Promise<Map<string, number>> {
    const text = await (await fetch(metricsUrl)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
  }

  const valueOf = (all: ReadonlyMap<string, number>, name: string, ...tags: string[]): number | undefined =>
    [...all].find(
      ([key]) => (key === name || key.startsWith(`${name}{`)) && tags.every((tag) => key.includes(tag)),
    )?.[1];

  it('is waited out from the worker’s start on, shown in the snapshot and the metrics, and over when it is over', async () => {
    expect(swarm.logTail()).toContain('agents wait until one is back');
    const begun = Date.now();
    const { handle } = await swarm.startScenario('outage-late', 'late');
    const waiting = await swarm.until('outage-late', ({ waitingForModel }) => waitingForModel !== undefined, 90_000);
    expect(waiting.waitingForModel).toMatchObject({
      calls: 1,
      why: expect.stringMatching(/no LLM endpoint answers.*ECONNREFUSED/),
    });
    expect(waiting.waitingForModel?.since).toBeGreaterThanOrEqual(begun);
    const during = await samples();
    expect(valueOf(during, 'agentswarm_llm_endpoint_health', 'endpoint="later"', 'health="up"')).toBe(0);
    expect(valueOf(during, 'agentswarm_llm_waiting_seconds')).toBeGreaterThan(0);
    expect(valueOf(during, 'agentswarm_llm_requests_total', 'outcome="unavailable"')).toBeGreaterThan(0);

    model = await startScriptedModel({ script, port: modelPort, apiKey: KEY });
    expect(await handle.result()).toMatchObject({ status: 'complete', landed: 1 });
    const { log } = model;
    const asked = log.filter(({ status }) => status === 200);
    await expect.poll(async () => valueOf(await samples(), 'agentswarm_llm_waiting_calls')).toBe(0);
    const after = await samples();
    expect(valueOf(after, 'agentswarm_llm_requests_total', 'outcome="answered"')).toBe(asked.length);
    expect(valueOf(after, 'agentswarm_llm_request_seconds_count', 'model="scripted-1"')).toBe(asked.length);
    expect(valueOf(after, 'agentswarm_llm_tokens_total', 'kind="input"')).toBe(
      asked.reduce((sum, each) => sum + each.inputTokens, 0),
    );
    expect(valueOf(after, 'agentswarm_llm_endpoint_health', 'health="up"')).toBe(1);
    expect(valueOf(after, 'agentswarm_llm_endpoint_left', 'kind="requests"')).toBeLessThan(30);
    // Temporal's own are beside them, and nothing of a key is in any.
    const text = await (await fetch(metricsUrl)).text();
    expect(text).toContain('temporal_workflow_completed');
    expect(text).not.toContain(KEY);
  }, 150_000);
});
