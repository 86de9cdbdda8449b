import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createSandboxes, type Sandboxes } from '../../../src/activities/sandbox/index.ts';
import { createLocalProvider } from '../../../src/activities/sandbox/local/provider.ts';
import { createRecords } from '../../../src/activities/sandbox/state/lease-file.ts';
import { createChainWatch } from '../../../src/activities/support/chain-watch.ts';
import { Config } from '../../../src/shared/config/worker-config.ts';
import type { LeasedMessage, SandboxStart } from '../../../src/shared/contracts/sandbox.ts';
import { DEFAULT_RUN_SETTINGS, type Setup } from '../../../src/shared/contracts/run-settings.ts';
import { createTestLog } from '../../support/log.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';
import { runContext } from '../../support/run-context.ts';
import { type TestTemporal, temporal } from '../../support/temporal.ts';
import { adoptSignal, leasedQuery, releaseSignal } from './lease-workflows.ts';

const folder = temporaryFolder('agentswarm-lease-');
const stateDir = join(folder.dir, 'state');
const log = createTestLog();

describe('leases on a real server', () => {
  let server: TestTemporal;
  let client: Client;
  let workflows: { worker: Worker; done: Promise<void> };
  let origin: ReturnType<typeof bareRepository>;
  const hosts: { worker: Worker; done: Promise<void> }[] = [];
  let queue = '';

  beforeAll(async () => {
    server = await temporal();
    client = await server.client();
    queue = server.uniqueQueue();
    origin = bareRepository(join(folder.dir, 'origin.git'));
    const worker = await Worker.create({
      connection: await server.workerConnection(),
      taskQueue: queue,
      workflowsPath: join(import.meta.dirname, 'lease-workflows.ts'),
    });
    workflows = { worker, done: worker.run() };
  }, 120_000);
  afterEach(() => stopHosts());
  afterAll(async () => {
    workflows.worker.shutdown();
    await workflows.done;
    folder.remove();
  });

  async function stopHosts(): Promise<void> {
    for (const { worker } of hosts) if (worker.getState() === 'RUNNING') worker.shutdown();
    await Promise.all(hosts.splice(0).map(({ done }) => done));
  }

  /** A worker of this host, with its own queue: a second one is what comes after a restart. */
  async function startHost(name: string, maxSandboxes = 4): Promise<Sandboxes> {
    const sandboxes = await createSandboxes({
      config: { ...Config.parse({}).sandbox, maxSandboxes },
      stateDir,
      env: process.env,
      mirrors: createMirrors({ dir: join(stateDir, 'mirrors'), log }),
      client,
      chains: createChainWatch(client, { cacheMs: 200 }),
      hostQueue: name,
      log,
    });
    const worker = await Worker.create({
      connection: await server.workerConnection(),
      taskQueue: name,
      activities: sandboxes.activities,
      maxHeartbeatThrottleInterval: '500ms',
      defaultHeartbeatThrottleInterval: '500ms',
      shutdownGraceTime: 0,
    });
    hosts.push({ worker, done: worker.run() });
    return sandboxes;
  }

  const startHolder = async (host: string, start: SandboxStart = { kind: 'tip' }, setup?: Setup) => {
    const run = runContext(origin.dir, origin.tip(), setup && { settings: { ...DEFAULT_RUN_SETTINGS, setup } });
    const args = [{ hold: { run, start }, queue: host }];
    return await client.workflow.start('holder', { taskQueue: queue, workflowId: randomUUID(), args });
  };
  type Holder = Awaited<ReturnType<typeof startHolder>>;
  async function leased(holder: Holder, number = 1): Promise<LeasedMessage> {
    let leases: LeasedMessage[] = [];
    await expect.poll(async () => (leases = await holder.query(leasedQuery)).length, { timeout: 20_000 }).toBe(number);
    const last = leases.at(-1);
    if (last === undefined) throw new Error('no lease');
    return last;
  }
  const folderOf = (lease: LeasedMessage) => join(stateDir, 'sandboxes', lease.sandbox.id);

  it('tells the task of its sandbox and base, and deletes the sandbox when it is given back', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const holder = await startHolder(host);
    const lease = await leased(holder);
    expect(lease).toMatchObject({ base: origin.tip(), sandbox: { epoch: 1, queue: host } });
    expect(existsSync(join(folderOf(lease), 'workspace', 'README.md'))).toBe(true);
    await holder.signal(releaseSignal);
    expect(await holder.result()).toEqual(['cancelled']);
    expect(existsSync(folderOf(lease))).toBe(false);
  });

  it('takes the setup of the base for a retry whose earlier attempt has broken the key files', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const parent = origin.tip();
    const ref = 'refs/agentswarm/runs/run-1/alpha.1';
    const commit = origin.detached({ 'package.json': 'broken' }, { parent, ref });
    const command = 'if grep -q broken package.json; then echo no such package; exit 1; fi; echo ok > made.txt';
    const setup: Setup = { command, keyFiles: ['package.json'], network: 'none', timeoutMinutes: 1 };
    const holder = await startHolder(host, { kind: 'commit', commit, ref }, setup);
    const lease = await leased(holder);
    expect(lease.base).toBe(parent);
    expect(readFileSync(join(folderOf(lease), 'workspace', 'package.json'), 'utf8')).toBe('broken');
    expect(readFileSync(join(folderOf(lease), 'workspace', 'made.txt'), 'utf8')).toBe('ok\n');
    await holder.signal(releaseSignal);
    expect(await holder.result()).toEqual(['cancelled']);
  });

  it('says that the sandbox is gone when its folder is, and leaves no control group of it', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const holder = await startHolder(host);
    const lease = await leased(holder);
    const groups = join(folderOf(lease), 'records', 'groups');
    const dirs = existsSync(groups) ? readFileSync(groups, 'utf8').trim().split('\n') : [];
    expect(dirs.every((dir) => existsSync(dir))).toBe(true);
    await rm(folderOf(lease), { recursive: true });
    expect(await holder.result()).toEqual(['gone']);
    expect(dirs.filter((dir) => existsSync(dir))).toEqual([]);
  });

  it('deletes the sandbox of a task that was terminated', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const holder = await startHolder(host);
    const lease = await leased(holder);
    await holder.terminate('no chance to clean up');
    await expect.poll(() => existsSync(folderOf(lease)), { timeout: 20_000 }).toBe(false);
  });

  it('leaves the sandbox to the next worker when this one stops, which adopts it under a new epoch', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const holder = await startHolder(host);
    const lease = await leased(holder);
    await stopHosts();
    expect(existsSync(folderOf(lease))).toBe(true);
    const { reapLeftovers } = await startHost(host);
    expect(await reapLeftovers()).toEqual([]);
    await holder.signal(adoptSignal);
    expect(await leased(holder, 2)).toEqual({ ...lease, sandbox: { ...lease.sandbox, epoch: 2 } });
    await holder.signal(releaseSignal);
    expect((await holder.result())[1]).toBe('cancelled');
    expect(existsSync(folderOf(lease))).toBe(false);
  });

  it('lets no other task adopt a sandbox, and nobody under a lease that is not newer', async () => {
    const host = server.uniqueQueue();
    const { activities } = await startHost(host);
    const holder = await startHolder(host);
    const { sandbox } = await leased(holder);
    const own = { workflowId: holder.workflowId, firstRunId: holder.firstExecutionRunId };
    const adopt = (epoch: number, chain: typeof own) => {
      const run = runContext(origin.dir, origin.tip());
      const request = { run, start: { kind: 'tip' } as const, holder: chain, ancestors: [], epoch, sandbox };
      return new MockActivityEnvironment().run(activities.adoptSandbox, request);
    };
    await expect(adopt(1, own)).rejects.toMatchObject({ type: 'SandboxGone' });
    await expect(adopt(2, { ...own, firstRunId: 'another' })).rejects.toMatchObject({ type: 'SandboxGone' });
    await holder.signal(releaseSignal);
    expect(await holder.result()).toEqual(['cancelled']);
  });

  it('refuses the adoption of what is not there', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const holder = await startHolder(host);
    const lease = await leased(holder);
    await stopHosts();
    await rm(folderOf(lease), { recursive: true });
    await startHost(host);
    await holder.signal(adoptSignal);
    expect((await holder.result())[1]).toContain('is not on this host any more');
  });

  it('opens no more sandboxes at once than there are places', async () => {
    const host = server.uniqueQueue();
    await startHost(host, 1);
    const first = await startHolder(host);
    await leased(first);
    const second = await startHolder(host);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await second.query(leasedQuery)).toEqual([]);
    await first.signal(releaseSignal);
    await leased(second);
    await second.signal(releaseSignal);
    expect(await second.result()).toEqual(['cancelled']);
  });

  it('reaps what nobody will come for, and nothing else', async () => {
    const host = server.uniqueQueue();
    await startHost(host);
    const [open, ended] = [await startHolder(host), await startHolder(host)];
    const [kept, left] = [await leased(open), await leased(ended)];
    await stopHosts();
    await ended.terminate('gone');
    const limits = Config.parse({}).sandbox.limits;
    const provider = await createLocalProvider({ stateDir, limits, unsafe: false, log });
    const records = createRecords(provider);
    const dead = {
      epoch: 1,
      holder: { workflowId: 'x', firstRunId: 'x' },
      ancestors: [],
      repo: { location: origin.dir, key: origin.dir },
    };
    await provider.create({ id: 'sb-half', objects: origin.dir });
    await records.writeLease('sb-half', { ...dead, createdAt: 0, state: { kind: 'making', pid: 2 ** 22 + 1 } });
    await provider.create({ id: `setup-${2 ** 22 + 1}-x`, objects: origin.dir });
    // As of a worker in a container, which has the same number after each start.
    await provider.create({ id: `setup-${process.pid}-1-x`, objects: origin.dir });
    await mkdir(join(stateDir, 'sandboxes', 'sb-empty'));
    await utimes(join(stateDir, 'sandboxes', 'sb-empty'), 0, 0);
    const { reapLeftovers } = await startHost(host);
    const setups = [`setup-${2 ** 22 + 1}-x`, `setup-${process.pid}-1-x`];
    expect((await reapLeftovers()).sort()).toEqual([left.sandbox.id, 'sb-half', ...setups].sort());
    expect(existsSync(folderOf(kept))).toBe(true);
    expect(existsSync(join(stateDir, 'sandboxes', 'sb-empty'))).toBe(true);
    await open.terminate('end of the test');
    await expect.poll(reapLeftovers, { timeout: 10_000 }).toContain(kept.sandbox.id);
  });
});
