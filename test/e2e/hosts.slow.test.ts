/** Two hosts that share nothing but the server and the remote; what is left over on one that was away. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Play, step } from '../../examples/scripted-model/steps.ts';
import { LeaseRecord } from '../../src/activities/sandbox/state/lease-file.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { processesOf } from '../support/processes.ts';
import { planned, type Scenario, scenarioScript } from '../support/scenarios.ts';
import type { Swarm } from '../support/swarm.ts';
import { useHosts } from '../support/use-swarm.ts';

const TASKS = ['a', 'b', 'c', 'd', 'e', 'f'];
const STEPS = 14;
/** No other process of this machine sleeps as long. */
const SLEEP = `sleep ${100_000 + process.pid}`;

const bash = (command: string) => ({ name: 'bash', arguments: { command } });

/** Each task appends the number of its step to a file of its own. */
const steps = (task: string) => (): Play => ({
  steps: Array.from({ length: STEPS }, (_, i) => step('On.', bash(`echo ${i + 1} >> ${task}.txt; sleep 0.2`))),
  handoff: { status: 'complete', summary: 'All steps.' },
});

const spread: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? TASKS.map((id) => planned(id)) : [], done: true }),
  tasks: Object.fromEntries(TASKS.map((task) => [task, steps(task)])),
};

/** Its command, and what that leaves in the background, last longer than the test. */
const endless: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? [planned('endless')] : [], done: true }),
  tasks: {
    endless: (): Play => ({
      steps: [step('On.', bash('echo 1 > endless.txt')), step('On.', bash(`setsid ${SLEEP} & ${SLEEP}`))],
      handoff: { status: 'complete', summary: 'Never said.' },
    }),
  },
};

/** By task, the ids of its sandboxes on this host. */
function sandboxesByTask(host: Swarm): Map<string, string> {
  const found = new Map<string, string>();
  for (const id of host.sandboxes()) {
    const file = join(host.stateDir, 'sandboxes', id, 'records', 'lease.json');
    try {
      const { holder } = LeaseRecord.parse(JSON.parse(readFileSync(file, 'utf8')));
      found.set(/\/([a-z]+)\.\d+$/.exec(holder.workflowId)?.[1] ?? holder.workflowId, id);
    } catch {
      // It is being made.
    }
  }
  return found;
}

describe('hosts', () => {
  const startHost = useHosts({
    script: scenarioScript({ spread, endless }),
    latencyMs: 500,
    config: { sandbox: { maxSandboxes: TASKS.length / 2, checkpointPushSeconds: 1 } },
  });

  it('each task of a host that dies goes on at another, from its last checkpoint on the remote, and lands once', async () => {
    const living = await startHost();
    const dying = await startHost(living.taskQueue);
    const id = 'hosts-spread';
    const { origin, base, handle } = await living.startScenario(id, 'spread');

    const refOf = (task: string): string => `refs/agentswarm/runs/${id}/${task}.1`;
    await expect.poll(() => origin.refs('refs/agentswarm/runs/'), { timeout: 60_000 }).toHaveLength(TASKS.length);
    const there = [...sandboxesByTask(dying).keys()].sort();
    const here = [...sandboxesByTask(living).keys()].sort();
    expect([...here, ...there].sort()).toEqual(TASKS);
    expect(there).toHaveLength(TASKS.length / 2);
    await dying.killWorker();
    await expect.poll(() => processesOf(dying.stateDir), { timeout: 10_000 }).toEqual([]);
    rmSync(dying.stateDir, { recursive: true });
    const kept = new Map(there.map((task) => [task, origin.git('show', `${refOf(task)}:${task}.txt`)]));

    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ status: 'complete', landed: TASKS.length, retries: 0, conflicts: 0 });
    for (const [task, checkpoint] of kept) {
      const landed = fileOn(origin.dir, 'main', `${task}.txt`);
      expect(landed.startsWith(`${checkpoint}\n`), `${task}: ${landed} after ${checkpoint}`).toBe(true);
      const numbers = landed.trim().split('\n').map(Number);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(numbers.at(-1)).toBe(STEPS);
    }
    const whole = Array.from({ length: STEPS }, (_, i) => `${i + 1}\n`).join('');
    for (const task of here) expect(fileOn(origin.dir, 'main', `${task}.txt`)).toBe(whole);

    const landed = landedOn(origin.dir, 'main', base);
    expect(landed.map(({ task }) => task.join()).sort()).toEqual(TASKS.map((task) => `${id}/${task}.1`));
    expect(new Set(landed.map(({ change }) => change.join())).size).toBe(TASKS.length);
    await living.settled();
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 300_000);

  it('what a host left when it died is taken away when it starts again and the run has ended meanwhile', async () => {
    const host = await startHost();
    await host.startScenario('hosts-left', 'endless');
    await expect.poll(() => host.requests('endless').length, POLL).toBe(2);
    expect(host.sandboxes()).toHaveLength(1);
    await host.killWorker();
    for (const workflowId of await host.openWorkflows()) await host.client.workflow.getHandle(workflowId).terminate();
    expect(host.sandboxes()).toHaveLength(1);
    await host.startWorker();
    await host.settled();
    await expect.poll(() => readdirSync(join(host.stateDir, 'trash')), POLL).toEqual([]);
  }, 120_000);

  it('nothing survives a run that is cancelled in the middle of a command', async () => {
    const host = await startHost();
    const { handle } = await host.startScenario('hosts-cancelled', 'endless');
    const sleeping = () => processesOf(SLEEP);
    await expect.poll(() => sleeping().length, POLL).toBeGreaterThan(1);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    await host.settled();
    await expect.poll(() => sleeping(), POLL).toEqual([]);
    await expect.poll(() => readdirSync(join(host.stateDir, 'trash')), POLL).toEqual([]);
  }, 120_000);
});

const POLL = { timeout: 60_000, interval: 100 };
