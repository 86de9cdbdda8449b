/** Runs whose sandboxes are on Modal, when the host dies or Modal loses what it had. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Play, step } from '../../examples/scripted-model/steps.ts';
import { whyNoContainers } from '../support/modal-double/container.ts';
import { modalSwarm, type ModalSwarm, POLL } from '../support/modal-swarm.ts';
import { planned, type Scenario, scenarioScript, specOf } from '../support/scenarios.ts';

const bash = (command: string) => ({ name: 'bash', arguments: { command } });

const endless: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? [planned('endless')] : [], done: true }),
  tasks: {
    endless: (): Play => ({
      steps: [step('On.', bash('echo 1 > endless.txt')), step('On.', bash('sleep 600'))],
      handoff: { status: 'complete', summary: 'Never said.' },
    }),
  },
};

describe.skipIf(whyNoContainers() !== undefined)('a run whose sandboxes are on Modal', () => {
  let host: ModalSwarm;
  beforeAll(async () => {
    host = await modalSwarm(scenarioScript({ endless }));
  }, 90_000);
  afterAll(() => host?.close());

  test('that ended while its host was away leaves nothing once the host is back', async () => {
    await host.swarm.start('modal-left', { repo: host.origin.dir, spec: specOf('endless'), branch: 'main' });
    await expect.poll(() => host.swarm.model.log.filter(({ task }) => task === 'endless').length, POLL).toBe(2);
    expect(host.double.running()).toHaveLength(1);
    await host.swarm.killWorker();
    for (const workflowId of await host.swarm.openWorkflows())
      await host.client.workflow.getHandle(workflowId).terminate();
    expect(host.double.running()).toHaveLength(1);
    await host.swarm.startWorker();
    await expect.poll(() => host.double.running(), POLL).toEqual([]);
  }, 60_000);

  test('goes on in another sandbox when Modal has lost one, and when the host has lost what it knew of it', async () => {
    await host.swarm.start('modal-lost', { repo: host.origin.dir, spec: specOf('endless'), branch: 'main' });
    const asked = () => host.double.requests('SandboxCreateV2').length;
    const before = asked();
    await expect.poll(() => host.double.running().length, POLL).toBe(1);
    const [first = ''] = host.double.running();
    await expect
      .poll(() => host.double.calls.filter(({ method }) => method === 'TaskExecStart').length, POLL)
      .toBeGreaterThan(5);
    await host.double.end(host.double.named(first));
    await expect.poll(() => asked(), POLL).toBe(before + 2);
    await expect.poll(() => host.double.running().length, POLL).toBe(1);
    rmSync(join(host.swarm.stateDir, 'modal'), { recursive: true });
    await expect.poll(() => asked(), POLL).toBe(before + 3);
    await host.client.workflow.getHandle('modal-lost').cancel();
    await expect.poll(() => host.double.running(), POLL).toEqual([]);
  }, 120_000);
});
