import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { thrownBy } from '../../support/thrown.ts';
import { call, type TestHost, testHost } from './support.ts';

/** Tells our processes from others' of the same kind. */
const MARK = `00${process.pid}`;

describe('the calls of one turn', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost();
  });
  afterAll(() => host.close());
  const workspaceFile = (id: string, name: string) =>
    readFileSync(join(host.stateDir, 'sandboxes', id, 'workspace', name), 'utf8');

  async function until(what: () => boolean): Promise<void> {
    for (const end = Date.now() + 15_000; ; await sleep(20)) {
      try {
        if (what()) return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      if (Date.now() > end) throw new Error('it did not happen within 15 s');
    }
  }

  it('run in order, and a retry of a finished turn runs none of them again', async () => {
    const id = await host.open();
    const calls = [call('bash', { command: 'echo 1 >> log' }), call('bash', { command: 'echo 2 >> log; cat log' })];
    const first = await host.act(id, 1, calls);
    expect(first.results.map((result) => result.output)).toEqual(['[No output.]', '1\n2\n']);
    expect(await host.act(id, 1, calls)).toEqual(first);
    expect(workspaceFile(id, 'log')).toBe('1\n2\n');
    const other = await host.act(id, 1, [call('bash', { command: 'cat log' })]);
    expect(other.results[0]?.output).toBe('1\n2\n');
  });

  it('are not run again after SIGKILL: what was begun is told as interrupted, and its changes are stored', async () => {
    const id = await host.open();
    const calls = [
      call('bash', { command: 'echo 1 >> log; echo first' }),
      call('bash', { command: `echo 2 >> log; sleep 60.${MARK}; echo 3 >> log` }),
      call('bash', { command: 'echo 4 >> log' }),
    ];
    const request = host.actRequest(id, 1, calls);
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'act-process.ts'), host.stateDir, JSON.stringify(request)],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    await until(() => workspaceFile(id, 'log') === '1\n2\n');
    child.kill('SIGKILL');
    await once(child, 'exit');
    const { results, checkpoint } = await host.act(id, 1, calls);
    expect(results.map((result) => result.status)).toEqual(['ok', 'interrupted', 'interrupted']);
    expect(results[0]?.output).toBe('first\n');
    expect(results[1]?.output).toContain('was interrupted');
    expect(results[2]?.output).toContain('was not started');
    expect(workspaceFile(id, 'log')).toBe('1\n2\n');
    const mirror = await host.mirrorWith(checkpoint);
    expect((await mirror.git(['cat-file', 'blob', `${checkpoint?.commit}:log`])).stdout.toString()).toBe('1\n2\n');
    await until(() => !hasProcess(`sleep 60.${MARK}`));
  });

  it('end at once when the activity is cancelled, and the running tool with them', async () => {
    const id = await host.open();
    const env = new MockActivityEnvironment();
    const calls = [call('bash', { command: `echo begun > log; sleep 61.${MARK}` })];
    const running = thrownBy(host.act(id, 1, calls, {}, env));
    await until(() => workspaceFile(id, 'log') === 'begun\n');
    env.cancel();
    expect(await running).toBeInstanceOf(CancelledFailure);
    expect(hasProcess(`sleep 61.${MARK}`)).toBe(false);
    expect((await host.act(id, 1, calls)).results[0]?.status).toBe('interrupted');
  });

  it('end with the time that the agent has left: what runs is stopped, what stands behind it is not begun', async () => {
    const id = await host.open();
    const calls = [
      call('bash', { command: 'touch before' }),
      call('bash', { command: `touch during; sleep 62.${MARK}`, timeoutSeconds: 600 }),
      call('write', { path: 'behind', content: '' }),
    ];
    const { results, checkpoint } = await host.act(id, 1, calls, { minutesLeft: 1.5 / 60 });
    expect(results.map(({ status }) => status)).toEqual(['ok', 'error', 'error']);
    expect(results[1]?.output).toMatch(
      /^\[The command was stopped after [\d.]+ s, .*: your time limit is reached\.\]$/,
    );
    expect(results[2]?.output).toMatch(/^Not run: your time limit/);
    expect(hasProcess(`sleep 62.${MARK}`)).toBe(false);
    const mirror = await host.mirrorWith(checkpoint);
    const kept = (await mirror.git(['ls-tree', '--name-only', checkpoint?.commit ?? ''])).stdout.toString();
    expect(kept.split('\n')).toEqual(expect.arrayContaining(['before', 'during']));
    expect(kept).not.toContain('behind');
  });

  it('are refused under another lease than the one that holds the sandbox', async () => {
    const id = await host.open({ kind: 'tip' }, 2);
    expect(await thrownBy(host.act(id, 1, [call('ls', {})]))).toMatchObject({
      type: 'SandboxGone',
      nonRetryable: true,
    });
    const { results } = await host.act(id, 1, [call('ls', {})], { sandbox: { id, epoch: 2, queue: 'host' } });
    expect(results[0]?.status).toBe('ok');
  });

  it('stop when the lease is taken over in between', async () => {
    const id = await host.open();
    const running = thrownBy(
      host.act(id, 1, [call('bash', { command: 'touch begun; sleep 4' }), call('bash', { command: 'touch never' })]),
    );
    await until(() => workspaceFile(id, 'begun') === '');
    const lease = await host.records.lease(id);
    if (lease !== null) await host.records.writeLease(id, { ...lease, epoch: 2 });
    expect(await running).toMatchObject({ type: 'SandboxGone' });
    expect(() => workspaceFile(id, 'never')).toThrow('ENOENT');
  });

  it('heartbeat while they run, with the call that is under way', async () => {
    const id = await host.open();
    const env = new MockActivityEnvironment();
    const beats: unknown[] = [];
    env.on('heartbeat', (details: unknown) => beats.push(details));
    await host.act(id, 3, [call('ls', {}), call('bash', { command: 'sleep 2.5' })], {}, env);
    expect(beats.length).toBeGreaterThanOrEqual(2);
    expect(beats).toContainEqual({ turn: 3, started: 1, tool: 'bash' });
  });

  it('are told as interrupted when their journal was cut short by a power failure', async () => {
    const id = await host.open();
    const calls = [call('bash', { command: 'echo x >> log' })];
    await host.act(id, 1, calls);
    const acts = join(host.provider.recordDir(id), 'acts');
    for (const name of await readdir(acts)) await writeFile(join(acts, name), '');
    expect((await host.act(id, 1, calls)).results[0]?.status).toBe('interrupted');
    expect(workspaceFile(id, 'log')).toBe('x\n');
  });

  it('tell the model when the work tree is too large to be stored, and go on storing when it is not', async () => {
    const small = await testHost({ limits: { fileSizeMb: 1 } });
    try {
      const id = await small.open();
      // Larger than any file that git may write here, when it cannot be compressed.
      const made = await small.act(id, 1, [
        call('bash', { command: 'for i in 1 2 3; do head -c 1000000 /dev/urandom >> big$((i%2)); done; true' }),
      ]);
      expect(made.results[0]?.output).toContain('could not be stored');
      expect(made.checkpoint).toBeUndefined();
      const mended = await small.act(id, 2, [call('bash', { command: 'rm big*; echo fine > fine' })]);
      expect(mended.checkpoint).toBeDefined();
    } finally {
      await small.close();
    }
  });

  it('start with a note when the checkpoint is lost with its host', async () => {
    const id = await host.open();
    const restore = { commit: '1'.repeat(40), turn: 4 };
    const { results } = await host.act(id, 5, [call('ls', {})], { restore });
    expect(results[0]?.output).toMatch(/^\[The sandbox was lost together with its host.*README.md/s);
    const again = await host.act(id, 6, [call('ls', {})], { restore });
    expect(again.results[0]?.output).not.toContain('lost');
  });

  it('fail, to be tried again, when the journal cannot be written', async () => {
    const id = await host.open();
    await writeFile(join(host.provider.recordDir(id), 'acts'), 'in the way');
    expect(await thrownBy(host.act(id, 1, [call('bash', { command: 'echo x > x' })]))).toBeDefined();
    expect(() => workspaceFile(id, 'x')).toThrow('ENOENT');
    await rm(join(host.provider.recordDir(id), 'acts'));
  });
});

function hasProcess(commandLine: string): boolean {
  return spawnSync('pgrep', ['-f', commandLine]).stdout.toString() !== '';
}
