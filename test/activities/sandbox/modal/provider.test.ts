/** What is Modal's own: what it is asked for, what becomes of its faults, who sees the worker's token. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createProvider } from '../../../../src/activities/sandbox/create-provider.ts';
import type { SandboxProvider } from '../../../../src/activities/sandbox/provider.ts';
import { Config } from '../../../../src/shared/config/worker-config.ts';
import { canariesBelow, canariesIn } from '../../../support/canaries.ts';
import { createTestLog } from '../../../support/log.ts';
import { whyNoContainers } from '../../../support/modal-double/container.ts';
import { thrownBy } from '../../../support/thrown.ts';
import { modalHost, type ModalHost, TOKEN } from './support.ts';

const OBJECTS = '/nonexistent';
const QUICK = { timeoutMs: 30_000 };

describe('a worker that is to use Modal', () => {
  const base = { stateDir: '/nonexistent', owner: 'host', log: createTestLog() };
  const { sandbox: config } = Config.parse({ sandbox: { provider: 'modal' } });

  test('is refused without a token, with what to set', async () => {
    const thrown = await thrownBy(createProvider({ ...base, config, env: { MODAL_TOKEN_ID: 'ak-1' } }));
    expect(thrown).toMatchObject({ type: 'SandboxUnavailable', nonRetryable: true });
    expect(thrown.message).toMatch(/MODAL_TOKEN_SECRET is not set/);
    expect((await thrownBy(createProvider({ ...base, config, env: {} }))).message).toMatch(/MODAL_TOKEN_ID is not set/);
  });

  test('is refused with an agents’ network that it would not have, before anything is asked', async () => {
    const open = { ...config, network: { allow: ['registry.example.com', 'db.example.com:5432'] } };
    const thrown = await thrownBy(createProvider({ ...base, config: open, env: {} }));
    expect(thrown).toMatchObject({ type: 'SandboxUnavailable', nonRetryable: true });
    expect(thrown.message).toMatch(/sandbox\.network\.allow has "db\.example\.com:5432".* port 443 only/);
  });
});

describe.skipIf(whyNoContainers() !== undefined)('sandboxes on Modal', () => {
  let host: ModalHost;
  let provider: SandboxProvider;
  beforeEach(async () => {
    host = await modalHost({
      modal: { cpu: 1.5, memoryMb: 2_048, regions: ['eu'], lifetimeHours: 3, idleMinutes: 20 },
    });
    provider = await host.provider();
  });
  afterEach(() => host.close());

  async function open(from = provider): Promise<string> {
    const id = `sb-${randomUUID()}`;
    await from.create({ id, objects: OBJECTS });
    return id;
  }
  const sh = (id: string, script: string, from = provider) => from.exec(id, ['/bin/bash', '-c', script], QUICK);

  test('are asked for without network and secrets, with limits, a name and tags', async () => {
    const id = await open();
    const [request] = host.double.requests('SandboxCreateV2');
    expect(request).toMatchObject({
      appId: 'ap-agentswarm',
      secretSources: [],
      definition: {
        name: id,
        secretIds: [],
        networkAccess: { networkAccessType: 2, allowedCidrs: [], allowedDomains: [] },
        resources: { milliCpu: 1_500, milliCpuMax: 1_500, memoryMb: 2_048, memoryMbMax: 2_048 },
        schedulerPlacement: { regions: ['eu'] },
        timeoutSecs: 10_800,
        idleTimeoutSecs: 1_200,
        includeOidcIdentityToken: false,
      },
    });
    const tags = Object.fromEntries(
      host.double.named(id).tags.map(({ tagName, tagValue }) => [tagName, tagValue] as const),
    );
    expect(tags['agentswarm-id']).toBe(id);
    expect(Number(tags['agentswarm-created'])).toBe(await provider.createdAt(id));
    const [image] = host.double.requests('ImageGetOrCreate');
    expect(image).toMatchObject({ image: { dockerfileCommands: [expect.stringMatching(/^FROM /)], secretIds: [] } });
  });

  test('have network only where that was said when they were made', async () => {
    const id = `setup-${randomUUID()}`;
    await provider.create({ id, objects: OBJECTS, network: 'full' });
    expect(host.double.named(id).definition.networkAccess.networkAccessType).toBe(1);
    expect((await provider.exec(id, ['true'], { ...QUICK, network: 'full' })).exitCode).toBe(0);
    const other = await open();
    const thrown = await thrownBy(provider.exec(other, ['true'], { ...QUICK, network: 'full' }));
    expect(thrown.message).toMatch(/made with network "none"/);
  });

  test('reach the names on a list, by Modal’s own means, and are asked for nothing else', async () => {
    const rules = { allow: ['Registry.Example.com', '*.example.org:443', 'registry.example.com:443'] };
    const id = `setup-${randomUUID()}`;
    await provider.create({ id, objects: OBJECTS, network: rules });
    expect(host.double.named(id).definition.networkAccess).toEqual({
      networkAccessType: 3,
      allowedCidrs: [],
      allowedDomains: ['registry.example.com', '*.example.org'],
    });
    expect((await provider.exec(id, ['true'], { ...QUICK, network: rules })).exitCode).toBe(0);
    const more = { allow: [...rules.allow, 'other.example.com'] };
    expect((await thrownBy(provider.exec(id, ['true'], { ...QUICK, network: more }))).message).toMatch(/was made with/);
    const nothing = `setup-${randomUUID()}`;
    await provider.create({ id: nothing, objects: OBJECTS, network: { allow: [] } });
    expect(host.double.named(nothing).definition.networkAccess.networkAccessType).toBe(2);
    const ssh = { id: `setup-${randomUUID()}`, objects: OBJECTS, network: { allow: ['git.example.com:22'] } };
    expect((await thrownBy(provider.create(ssh))).message).toMatch(/setup\.network\.allow has "git\.example\.com:22"/);
  });

  test('give whole output through streams that break, wherever they break', async () => {
    const id = await open();
    for (const afterBytes of [0, 3, 70_000]) {
      host.double.failNext('TaskExecStdioRead', { code: status.UNAVAILABLE, afterBytes });
      const result = await sh(id, 'seq 100000');
      expect(result.stdout.toString().length).toBe(588_895);
      expect(result.stdout.toString().endsWith('\n99999\n100000\n')).toBe(true);
    }
    expect(host.double.requests('TaskExecStdioRead').some(({ offset }) => Number(offset) > 3)).toBe(true);
  });

  test('take input once through answers that are lost', async () => {
    const id = await open();
    host.double.failNext('TaskExecStart', { code: status.UNAVAILABLE });
    host.double.failNext('TaskExecStdinWrite', { code: status.DEADLINE_EXCEEDED, times: 2 });
    const result = await provider.exec(id, ['cat'], { ...QUICK, stdin: 'once' });
    expect(result.stdout.toString()).toBe('once');
  });

  test('are reached again when their token has run out', async () => {
    host.double.jwtSeconds = 10;
    const id = await open();
    host.double.expireTokens();
    expect((await sh(id, 'echo again')).stdout.toString()).toBe('again\n');
    expect(host.double.requests('SandboxGetCommandRouterAccess').length).toBeGreaterThan(0);
  });

  test('that are lost are gone: to a command, to one that runs, and to who asks', async () => {
    const [idle, busy] = [await open(), await open()];
    const running = thrownBy(sh(busy, 'sleep 600'));
    await sleep(300);
    for (const id of [idle, busy]) await host.double.end(host.double.named(id));
    expect(await running).toMatchObject({ type: 'SandboxGone' });
    expect(await thrownBy(sh(idle, 'true'))).toMatchObject({ type: 'SandboxGone', nonRetryable: true });
    for (const id of [idle, busy]) {
      expect(await provider.has(id)).toBe(false);
      await provider.terminate(id);
    }
    expect(await provider.list()).toEqual([]);
  });

  test('that cannot be made leave nothing, and say why and what to do', async () => {
    host.double.failNext('SandboxCreateV2', { code: status.RESOURCE_EXHAUSTED, details: 'too many sandboxes' });
    const thrown = await thrownBy(open());
    expect(thrown.message).toMatch(/too many sandboxes[\s\S]*sandbox\.maxSandboxes/);
    expect(thrown.nonRetryable).not.toBe(true);
    expect(await provider.list()).toEqual([]);
    host.double.failNext('TaskExecStart', { code: status.FAILED_PRECONDITION, details: 'no such machine' });
    await expect(open()).rejects.toThrow(/no such machine/);
    expect([...host.double.sandboxes.values()].every(({ result }) => result !== undefined)).toBe(true);
    expect(await provider.list()).toEqual([]);
  });

  test('go on when another process of the host takes them over, which ends what ran there', async () => {
    const id = await open();
    const left = sh(id, 'echo $$ > /tmp/pid; sleep 600').catch((error: unknown) => error);
    while ((await sh(id, 'cat /tmp/pid 2>/dev/null')).stdout.length === 0) await sleep(50);
    const second = await host.provider();
    expect(await second.has(id)).toBe(true);
    expect(
      (await sh(id, 'kill -0 $(cat /tmp/pid) 2>/dev/null && echo runs || echo ended', second)).stdout.toString(),
    ).toBe('ended\n');
    expect(await left).toMatchObject({ reason: 'aborted' });
  });

  test('are found by their tags when the host has lost its records, and are no other host’s', async () => {
    const ids = [await open(), await open(), await open(), await open()];
    const other = await host.provider(join(host.folder, 'other'), 'host-b');
    const theirs = await open(other);
    const anew = await host.provider(join(host.folder, 'anew'));
    expect((await anew.list()).toSorted()).toEqual(ids.toSorted());
    const [first = ''] = ids;
    expect(await anew.createdAt(first)).toBe(await provider.createdAt(first));
    await anew.terminate(first);
    expect(host.double.named(first).result).toBeDefined();
    expect(await other.list()).toEqual([theirs]);
  });

  test('keep their records on the host, and lose them at their end', async () => {
    const id = await open();
    const records = provider.recordDir(id);
    expect(existsSync(records)).toBe(true);
    await provider.terminate(id);
    expect(existsSync(records)).toBe(false);
  });

  test('see nothing of the worker’s token, and neither does a log, a record or an error', async () => {
    const canaries = [
      { name: 'id', value: TOKEN.id },
      { name: 'secret', value: TOKEN.secret },
    ];
    const id = await open();
    const environment = (await sh(id, 'env')).stdout.toString();
    expect(environment).toContain('IMAGE_SAYS=hello');
    expect(environment).not.toContain('MODAL_');
    const seen = await sh(id, 'cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr "\\0" "\\n"');
    expect(seen.stdout.toString()).toContain('IMAGE_SAYS=hello');
    expect(canariesIn(seen.stdout, canaries)).toEqual([]);
    const details = `no place for ${TOKEN.secret} of ${TOKEN.id}`;
    host.double.failNext('SandboxCreateV2', { code: status.RESOURCE_EXHAUSTED, details });
    const thrown = await thrownBy(open());
    expect(thrown.message).toContain('no place for [the Modal token]');
    const wrong = await thrownBy(host.provider(undefined, 'host-a', { id: TOKEN.id, secret: 'as-other' }));
    expect(wrong).toMatchObject({ type: 'SandboxUnavailable' });
    const errors = [thrown, wrong].map((error) => `${error.message} ${error.stack} ${JSON.stringify(error.cause)}`);
    expect(canariesIn(errors.join('\n'), canaries)).toEqual([]);
    expect(canariesIn(JSON.stringify(host.log.lines), canaries)).toEqual([]);
    // What Modal is asked, but for the headers that log in; the file systems of its sandboxes; this host's records.
    const requests = host.double.calls.map(({ request }) => JSON.stringify(request, asText)).join('\n');
    expect(canariesIn(requests, canaries)).toEqual([]);
    expect(canariesBelow(host.folder, canaries)).toEqual([]);
    const toTheMachine = host.double.calls.filter(({ method }) => method.startsWith('Task'));
    expect(toTheMachine.length).toBeGreaterThan(3);
    expect(canariesIn(JSON.stringify(toTheMachine.map(({ metadata }) => metadata)), canaries)).toEqual([]);
    const login = host.double.calls.find(({ method }) => method === 'SandboxCreateV2')?.metadata ?? {};
    expect(canariesIn(JSON.stringify(login), canaries)).toEqual(['id', 'secret']);
  });
});

const asText = (_key: string, value: unknown): unknown => {
  const bytes = value as { type?: string; data?: number[] } | null;
  return bytes?.type === 'Buffer' ? Buffer.from(bytes.data ?? []).toString('latin1') : value;
};
