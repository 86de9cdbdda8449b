/** An upgrade that agents cannot replay: they are seen, named and ended, and what waited for them goes on. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { cancelTaskUpdate, cancelUpdate } from '../../src/shared/messages.ts';
import { findStuck } from '../../src/doctor/stuck.ts';
import { planned, type Scenario, scenarioScript, slowly } from '../support/scenarios.ts';
import { temporaryFolder } from '../support/repos.ts';
import type { Swarm } from '../support/swarm.ts';
import { useSwarm } from '../support/use-swarm.ts';

const lone: Scenario = {
  plan: () => ({ tasks: [planned('lone')], done: true }),
  tasks: { lone: slowly('lone', 400) },
};
const pair: Scenario = {
  plan: () => ({ tasks: [planned('first'), planned('second')], done: true }),
  tasks: { first: slowly('first', 400), second: slowly('second', 400) },
};
const tried: Scenario = {
  plan: () => ({ tasks: [planned('tried')], done: true }),
  tasks: { tried: slowly('tried', 400) },
};

const cache = temporaryFolder();
const bundles = join(cache.dir, 'agentswarm', 'workflows');

/** A worker whose code has changed: what agents in flight do is not what they did. */
async function upgrade(swarm: Swarm, from: string, to: string): Promise<void> {
  const [name = ''] = readdirSync(bundles);
  const file = join(bundles, name);
  const code = readFileSync(file, 'utf8');
  if (code.split(from).length !== 2) throw new Error(`the bundle has "${from}" ${code.split(from).length - 1} times`);
  await swarm.killWorker();
  writeFileSync(file, code.replace(from, to));
  await swarm.startWorker();
}

/** Where an agent takes its input. */
const AGENT = ".AgentInput, raw, 'agent')";
const CHANGED = ".AgentInput, (() => { throw new TypeError('upgraded by mistake'); })(), 'agent')";

describe('agents that cannot be replayed after an upgrade', () => {
  mkdirSync(bundles, { recursive: true });
  const swarm = useSwarm({
    script: scenarioScript({ lone, pair, tried }),
    latencyMs: 300,
    config: { sandbox: { maxSandboxes: 4 }, run: { sweeps: 'off' } },
    env: { XDG_CACHE_HOME: cache.dir },
  });

  it('are named, and ended by abort, by cancel and after their time', async () => {
    const runs = {
      lone: await swarm.startScenario('stuck-lone', 'lone'),
      pair: await swarm.startScenario('stuck-pair', 'pair'),
      tried: await swarm.startScenario('stuck-tried', 'tried', { settings: { stuckMinutes: 0.5, maxAttempts: 1 } }),
    };
    for (const task of ['lone', 'first', 'second', 'tried']) await swarm.untilAsked(task, 2);
    await upgrade(swarm, AGENT, CHANGED);

    const agent = 'stuck-lone/lone.1/agent';
    const named = { workflowId: agent, type: 'agent', reason: expect.stringContaining('upgraded by mistake') };
    const seen = await swarm.until('stuck-lone', ({ stuck }) => stuck !== undefined, 60_000);
    expect(seen.stuck).toEqual([expect.objectContaining(named)]);
    expect(seen.waitingFor).toContain('1 workflow that cannot go on');
    expect(await findStuck(swarm.client, { run: 'stuck-lone' })).toEqual([expect.objectContaining(named)]);

    await runs.lone.handle.executeUpdate(cancelUpdate, { args: [{ graceMinutes: 1 }] });
    await runs.pair.handle.executeUpdate(cancelTaskUpdate, { args: [{ task: 'first' }] });
    const ended = async (id: string) => swarm.status(id);
    await expect.poll(() => ended('stuck-pair/first.1'), { timeout: 60_000, interval: 500 }).not.toBe('RUNNING');
    expect(await ended('stuck-pair/first.1/agent')).toBe('TERMINATED');
    expect(await ended('stuck-pair/second.1/agent')).toBe('RUNNING');

    const cancelled = (await within(90_000, runs.lone.handle.result())) as RunReport;
    expect(cancelled).toMatchObject({ status: 'cancelled', tasks: [{ id: 'lone', status: 'cancelled' }] });
    expect(cancelled.notes.join('\n')).toContain(`${agent} could not go on`);

    const given = await swarm.until('stuck-tried', ({ tasks }) => tasks[0]?.status === 'failed', 90_000);
    expect(given.tasks[0]?.reason).toContain('upgraded by mistake');

    await runs.tried.handle.cancel();
    await runs.pair.handle.cancel();
    await within(
      90_000,
      runs.pair.handle.result().catch(() => undefined),
    );
    await swarm.settled(60_000);
  }, 400_000);
});

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error(`not in ${ms} ms`)), ms).unref());
  return await Promise.race([promise, late]);
}
