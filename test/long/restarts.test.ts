/** What people said is kept where server and worker come and go: an approval, a pause. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { approveUpdate, pauseUpdate, resumeUpdate } from '../../src/shared/messages.ts';
import { fileOn } from '../support/branches.ts';
import { OwnServer } from '../support/own-server.ts';
import { temporaryFolder } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, slowly } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';

const kept: Scenario = {
  plan: () => ({ tasks: [planned('patient')], done: true }),
  tasks: {
    patient: slowly('patient', 8),
  },
};

const folder = temporaryFolder();
let server: OwnServer;
let swarm: Swarm;

beforeAll(async () => {
  mkdirSync(join(folder.dir, 'server'));
  server = await OwnServer.start(join(folder.dir, 'server'));
  const { client, address } = server;
  const script = scenarioScript({ kept });
  swarm = await Swarm.start({ client, address, taskQueue: 'restarts', script, latencyMs: 300 });
}, 120_000);

afterAll(async () => {
  await swarm?.stop();
  await server?.stop();
  folder.remove();
}, 60_000);

it('an approval given after a restart of the server counts, and a pause outlives its worker', async () => {
  const settings = { approvals: ['plan' as const] };
  const { origin, handle } = await swarm.startScenario('restarts', 'kept', { settings });
  const asked = () => swarm.requests('patient').length;
  await swarm.until('restarts', ({ approvals }) => approvals?.[0]?.name === 'plan-1');
  await server.kill();
  await server.restart();
  const waiting = await swarm.until('restarts', ({ approvals }) => approvals?.length === 1);
  expect(waiting.counts).toMatchObject({ pending: 1, running: 0 });
  await handle.executeUpdate(approveUpdate, { args: [{ name: 'plan-1' }] });

  await swarm.until('restarts', () => asked() >= 2);
  await handle.executeUpdate(pauseUpdate, { args: [{ reason: 'a new worker' }] });
  await swarm.killWorker();
  await swarm.startWorker();
  const paused = await swarm.until('restarts', (snapshot) => snapshot.paused !== undefined);
  expect(paused.paused?.reason).toBe('a new worker');
  await sleep(2_000);
  const before = asked();
  await sleep(3_000);
  expect(asked()).toBe(before);
  await handle.executeUpdate(resumeUpdate);
  const report = (await handle.result()) as RunReport;
  expect(report).toMatchObject({ status: 'complete', landed: 1, retries: 0 });
  expect(fileOn(origin.dir, 'main', 'patient/8.txt')).toBe('8\n');
  await swarm.settled();
}, 180_000);
