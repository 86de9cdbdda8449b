/** Schedules on a real server; nothing works on the queue, so that the run that one starts stays open. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '@temporalio/client';
import { bareRepository, temporaryFolder } from '../support/repos.ts';
import { temporal } from '../support/temporal.ts';
import { runHere } from './fixture/command.ts';

const folder = temporaryFolder('agentswarm-schedule-');
const id = `nightly-${Date.now()}`;
let client: Client;
let address: string;

beforeAll(async () => {
  const server = await temporal();
  address = server.address;
  client = await server.client();
  bareRepository(`${folder.dir}/app.git`);
});
afterAll(async () => {
  for await (const { workflowId } of client.workflow.list({ query: `WorkflowId STARTS_WITH '${id}'` })) {
    await client.workflow
      .getHandle(workflowId)
      .terminate('the test is over')
      .catch(() => undefined);
  }
  folder.remove();
});

const agentswarm = (...args: string[]) =>
  runHere(['schedule', ...args], { cwd: folder.dir, env: { TEMPORAL_ADDRESS: address }, dependencies: {} });

const runsOf = async (): Promise<string[]> =>
  (await client.schedule.getHandle(id).describe()).info.recentActions.map(({ action }) => action.workflow.workflowId);

test('a schedule is made, listed, triggered, paused, resumed and deleted', { timeout: 60_000 }, async () => {
  const created = await agentswarm('create', 'app.git', '--cron', '0 2 * * *', '--id', id, '--branch', 'main');
  expect(created).toEqual({ code: 0, stdout: `${id}\n`, stderr: '' });
  const made = await client.schedule.getHandle(id).describe();
  expect(made.policies.overlap).toBe('SKIP');
  expect(made.action).toMatchObject({
    workflowType: 'planner',
    workflowId: id,
    taskQueue: 'agentswarm',
    args: [{ repo: `${folder.dir}/app.git`, mode: 'reconcile', branch: 'main' }],
  });
  expect(made.info.nextActionTimes[0]?.toISOString()).toMatch(/T02:00:00/);
  const twice = await agentswarm('create', 'app.git', '--cron', '0 3 * * *', '--id', id);
  expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining('delete it first') });

  expect((await agentswarm('trigger', id)).code).toBe(0);
  await expect.poll(async () => (await runsOf()).length, { timeout: 10_000 }).toBe(1);
  const [run = ''] = await runsOf();
  expect(run.startsWith(id)).toBe(true);
  expect((await client.workflow.getHandle(run).describe()).type).toBe('planner');
  // Its run is open: another one is left out.
  expect((await agentswarm('trigger', id)).code).toBe(0);
  const skipped = async () => (await client.schedule.getHandle(id).describe()).info.numActionsSkippedOverlap;
  await expect.poll(skipped, { timeout: 10_000 }).toBe(1);
  expect(await runsOf()).toEqual([run]);

  expect((await agentswarm('pause', id, '--reason', 'holidays')).code).toBe(0);
  expect((await client.schedule.getHandle(id).describe()).state).toMatchObject({ paused: true, note: 'holidays' });
  const listed = async () =>
    JSON.parse((await agentswarm('list', '--json')).stdout) as { id: string; paused: boolean; cron: string }[];
  await expect
    .poll(async () => (await listed()).find((row) => row.id === id), { timeout: 10_000 })
    .toMatchObject({ paused: true, cron: '0 2 * * *', repo: `${folder.dir}/app.git` });
  expect((await agentswarm('resume', id)).code).toBe(0);
  expect((await client.schedule.getHandle(id).describe()).state.paused).toBe(false);

  expect((await agentswarm('delete', id)).code).toBe(0);
  expect(await agentswarm('trigger', id)).toMatchObject({ code: 2, stderr: expect.stringContaining('no schedule') });
});

test('what the server does not take is said', { timeout: 60_000 }, async () => {
  const wrong = await agentswarm('create', 'app.git', '--cron', 'at noon', '--id', `${id}-wrong`);
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining(`${id}-wrong`) });
  expect(await agentswarm('create', 'app.git')).toMatchObject({ code: 2 });
});
