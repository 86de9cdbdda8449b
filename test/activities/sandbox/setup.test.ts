import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkOut } from '../../../src/activities/sandbox/checkpoints/checkout.ts';
import { createSetups } from '../../../src/activities/sandbox/setup.ts';
import type { SandboxProvider } from '../../../src/activities/sandbox/provider.ts';
import type { SetupResult } from '../../../src/activities/sandbox/setup-install.ts';
import type { Setup } from '../../../src/shared/contracts/run-settings.ts';
import { thrownBy } from '../../support/thrown.ts';
import { call, HOLDER, type TestHost, testHost } from './support.ts';

const SETUP: Setup = {
  command: `mkdir -p node_modules/dep src/gen "odd [name]" && date +%s%N > node_modules/dep/stamp && ln -s dep node_modules/link
    echo g > src/gen/g; echo o > "odd [name]/o"; echo changed > src/a.txt; echo h > ~/.tool; sleep 0.5`,
  keyFiles: ['package.json'],
  network: 'none',
  timeoutMinutes: 1,
};
const never = new AbortController().signal;

describe('setup', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost({ files: { 'package.json': '{}', 'src/a.txt': 'a\n', '.gitignore': 'node_modules/\n' } });
  });
  afterAll(() => host.close());

  const setupsOf = () => createSetups({ provider: host.provider, stateDir: host.stateDir, log: host.log });
  const runs = () => host.log.lines.filter((line) => line.message === 'setup begins').length;
  async function sandboxWith(result: SetupResult, setups = setupsOf()): Promise<string> {
    const id = `sb-${randomUUID()}`;
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    await host.provider.create({ id, objects: join(mirror.dir, 'objects') });
    await host.records.writeTree(
      id,
      await checkOut({
        provider: host.provider,
        mirror,
        id,
        start: { base: tip, commit: tip },
        exclude: result.exclude,
      }),
    );
    await setups.install(result, id, never);
    const lease = { epoch: 1, holder: HOLDER, ancestors: [], repo: host.run.repo, createdAt: Date.now() };
    await host.records.writeLease(id, { ...lease, state: { kind: 'ready' } });
    return id;
  }

  it('runs once for concurrent requests and after a restart, and anew when a key file changes', async () => {
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    const setups = setupsOf();
    const results = await Promise.all([1, 2, 3, 4].map(() => setups.ensure(SETUP, mirror, tip, never)));
    expect(new Set(results.map((result) => result.folder)).size).toBe(1);
    expect(runs()).toBe(1);
    await setupsOf().ensure(SETUP, mirror, tip, never);
    host.origin.commit({ 'src/b.txt': 'b\n' });
    await setupsOf().ensure(SETUP, mirror, await mirror.fetchBranch('main'), never);
    expect(runs()).toBe(1);
    host.origin.commit({ 'package.json': '{"name":"x"}' });
    const other = await setupsOf().ensure(SETUP, mirror, await mirror.fetchBranch('main'), never);
    expect(runs()).toBe(2);
    expect(other.folder).not.toBe(results[0]?.folder);
    expect(await host.provider.list()).toEqual([]);
  });

  it('ends with a request that was cancelled before it began, and leaves no rejection that nobody handles', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    try {
      const mirror = await host.mirrors.open(host.run.repo);
      const tip = await mirror.fetchBranch('main');
      const ended = Promise.withResolvers<void>();
      const provider = Object.assign(Object.create(host.provider) as SandboxProvider, {
        terminate: (id: string) => host.provider.terminate(id).then(ended.resolve, ended.reject),
      });
      const setups = createSetups({ provider, stateDir: host.stateDir, log: host.log });
      const slow = { ...SETUP, command: 'sleep 60' };
      await expect(setups.ensure(slow, mirror, tip, AbortSignal.abort())).rejects.toThrow(/abort/);
      await ended.promise;
      expect(await host.provider.list()).toEqual([]);
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
  });

  it('gives each sandbox a copy of what it made, apart from tracked files, which is no part of the work', async () => {
    const mirror = await host.mirrors.open(host.run.repo);
    const setups = setupsOf();
    const result = await setups.ensure(SETUP, mirror, await mirror.fetchBranch('main'), never);
    const [one, two] = [await sandboxWith(result), await sandboxWith(result)];
    const look = 'cat src/a.txt node_modules/link/stamp src/gen/g "odd [name]/o" ~/.tool; git status --porcelain';
    const seen = await host.bash(one, look);
    expect(seen.output).toMatch(/^a\n\d+\ng\no\nh\n$/);
    await host.bash(one, 'echo mine > node_modules/dep/stamp; rm -rf src/gen; echo mine > ~/.tool; ls /run/setup');
    expect((await host.bash(two, look)).output).toBe(seen.output);
    expect((await host.bash(await sandboxWith(result), look)).output).toBe(seen.output);
    await host.act(two, 1, [call('write', { path: 'work.txt', content: 'w' })]);
    expect(await host.collect(two)).toMatchObject({ filesChanged: ['work.txt'] });
  });

  it('that fails is a terminal failure with the end of its output, is not kept, and fails all who wait', async () => {
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    const before = runs();
    const setups = setupsOf();
    const broken = { ...SETUP, command: 'seq 1 5000; echo the reason >&2; exit 3' };
    const [one, two] = await Promise.all([1, 2].map(() => thrownBy(setups.ensure(broken, mirror, tip, never))));
    expect(one).toMatchObject({ type: 'SetupFailed', nonRetryable: true });
    expect(one?.message).toMatch(/ended with code 3[^]*the reason[^]*without network/);
    expect(two?.message).toBe(one?.message);
    expect(runs()).toBe(before + 1);
    await thrownBy(setups.ensure(broken, mirror, tip, never));
    expect(runs()).toBe(before + 2);
    expect((await host.provider.list()).filter((id) => id.startsWith('setup-'))).toEqual([]);
  });

  it('ends at its timeout, and when nobody waits for it any more', async () => {
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    const slow = await thrownBy(
      setupsOf().ensure({ ...SETUP, command: 'sleep 62', timeoutMinutes: 0.005 }, mirror, tip, never),
    );
    expect(slow.message).toContain('took longer than 0.005 minutes');
    const setups = setupsOf();
    const stops = [new AbortController(), new AbortController()];
    const waiting = stops.map((stop) =>
      thrownBy(setups.ensure({ ...SETUP, command: 'sleep 63' }, mirror, tip, stop.signal)),
    );
    setTimeout(() => stops[0]?.abort(), 500);
    await waiting[0];
    expect((await host.provider.list()).some((id) => id.startsWith('setup-'))).toBe(true);
    stops[1]?.abort();
    await waiting[1];
    await expect
      .poll(() => host.provider.list(), { timeout: 5_000 })
      .toSatisfy((ids: string[]) => !ids.some((id) => id.startsWith('setup-')));
  });

  it('has the network only when it asks for it', async () => {
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    const look = 'grep -c : /proc/net/dev > ways; env | grep -ci proxy >> ways || true';
    const none = await setupsOf().ensure({ ...SETUP, command: look }, mirror, tip, never);
    const full = await setupsOf().ensure({ ...SETUP, command: look, network: 'full' }, mirror, tip, never);
    const ways = async (result: SetupResult) => {
      const { output } = await host.bash(await sandboxWith(result), 'cat ways');
      const [devices = 0, proxies = 0] = output.trim().split('\n').map(Number);
      return { devices, proxies };
    };
    expect(await ways(none)).toEqual({ devices: 1, proxies: 0 });
    // The host's own only where the worker itself is behind a proxy.
    const { devices, proxies } = await ways(full);
    expect(Math.max(devices - 1, proxies)).toBeGreaterThan(0);
  });
});

describe('setup of a task that changes the key files', () => {
  /** What it makes depends on package.json: a folder and a file at home of that name. */
  const NAMED: Setup = {
    ...SETUP,
    command: `name=$(tr -dc a-z < package.json); [ "$name" != broken ] || { echo "no such package"; exit 1; }
      mkdir -p node_modules/$name made/$name && echo $name | tee node_modules/$name/file made/$name/file ~/.$name
      chmod -R a-w node_modules/$name`,
  };
  const LOOK = 'cat node_modules/*/file made/*/file ~/.[a-z]*; ls node_modules made; git status --porcelain';
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost({ files: { 'package.json': '"one"', 'a.txt': 'a\n', '.gitignore': 'node_modules/\n' } });
  });
  afterAll(() => host.close());
  const setups = () => createSetups({ provider: host.provider, stateDir: host.stateDir, log: host.log });
  const begun = () => host.log.lines.filter((line) => line.message === 'setup begins').length;

  async function open(): Promise<string> {
    const id = await host.open();
    const mirror = await host.mirrors.open(host.run.repo);
    const result = await setups().ensure(NAMED, mirror, host.origin.tip(), never);
    const start = { base: host.origin.tip(), commit: host.origin.tip() };
    await host.provider.terminate(id);
    await host.provider.create({ id, objects: join(mirror.dir, 'objects') });
    await host.records.writeTree(
      id,
      await checkOut({ provider: host.provider, mirror, id, start, exclude: result.exclude }),
    );
    await setups().install(result, id, never);
    const lease = { epoch: 1, holder: HOLDER, ancestors: [], repo: host.run.repo, createdAt: Date.now() };
    await host.records.writeLease(id, { ...lease, state: { kind: 'ready' } });
    return id;
  }
  /** What the agent is told. */
  async function change(id: string, turn: number, name: string): Promise<string> {
    const { results } = await host.act(id, turn, [call('write', { path: 'package.json', content: `"${name}"` })]);
    return results[0]?.output ?? '';
  }

  it('is made for the changed files, and takes the place of what was there; the work itself stays', async () => {
    const id = await open();
    const { results } = await host.act(id, 1, [call('write', { path: 'made/by-hand.txt', content: 'mine' })]);
    expect(results[0]?.output).not.toContain('You have changed');
    expect((await host.bash(id, LOOK)).output).toBe('one\none\none\nmade:\nby-hand.txt\none\n\nnode_modules:\none\n');
    const before = begun();
    expect(await change(id, 2, 'two')).toContain('You have changed package.json');
    expect(begun()).toBe(before + 1);
    const after = (await host.bash(id, LOOK)).output;
    expect(after).toMatch(/^two\ntwo\ntwo\nmade:\ntwo\n\nnode_modules:\ntwo\n/);
    const other = await host.act(id, 3, [call('write', { path: 'b.txt', content: 'b' })]);
    expect(other.results[0]?.output).not.toContain('You have changed');
    expect((await host.collect(id)).filesChanged).toContain('package.json');
    expect((await host.collect(id)).filesChanged.some((path) => path.startsWith('node_modules/'))).toBe(false);
  });

  it('that fails is told once and leaves what was there; undone, all is as it was', async () => {
    const id = await open();
    expect(await change(id, 1, 'broken')).toMatch(
      /could not be had\. What was there before is still there\.[^]*no such package/,
    );
    const before = begun();
    expect(await change(id, 2, 'one')).not.toContain('You have changed');
    expect(begun()).toBe(before);
    expect((await host.bash(id, LOOK)).output).toBe('one\none\none\nmade:\none\n\nnode_modules:\none\n');
  });

  it('that was interrupted half-way is made good the next time', async () => {
    const id = await open();
    const mirror = await host.mirrors.open(host.run.repo);
    await host.provider.exec(id, ['sh', '-c', 'echo three > package.json'], { timeoutMs: 10_000 });
    const { commit } = await host.deps.checkpoints.write({ id, turn: 1, into: 'mirror', mirror: async () => mirror });
    await setups().ensure(NAMED, mirror, commit, never);
    const signal = AbortSignal.abort(new Error('the worker stops'));
    const stopped = await thrownBy(setups().again({ mirror, id, commit, signal }));
    expect(stopped.message).toBe('the worker stops');
    // Back at what was there before the exchange began, which may be there in part only.
    expect(await change(id, 2, 'one')).toContain('You have changed package.json');
    expect((await host.bash(id, LOOK)).output).toMatch(/^one\none\none\nmade:\none\n/);
  });

  it('comes with a restored sandbox too', async () => {
    const first = await open();
    const { checkpoint } = await host.act(first, 1, [call('write', { path: 'package.json', content: '"five"' })]);
    const second = await open();
    const restore = checkpoint ?? { commit: host.origin.tip(), turn: 0 };
    const { results } = await host.act(second, 2, [call('bash', { command: LOOK })], { restore });
    expect(results[0]?.output).toMatch(/You have changed package.json[^]*five\nfive\nfive\nmade:\nfive\n/);
  });

  it('is not looked at where a sandbox has none', async () => {
    const id = await host.open();
    const before = begun();
    expect(await change(id, 1, 'four')).not.toContain('You have changed');
    expect(begun()).toBe(before);
  });
});
