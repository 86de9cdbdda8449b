import { setTimeout as delay } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRunChecks } from '../../../src/activities/reconciler/run-checks.ts';
import { Semaphore } from '../../../src/shared/base/semaphore.ts';
import { reapLeftovers } from '../../../src/activities/sandbox/lease/reaper.ts';
import { createScratch } from '../../../src/activities/sandbox/scratch.ts';
import { Check } from '../../../src/shared/contracts/check-settings.ts';
import type { ChecksRequest, ChecksResult } from '../../../src/shared/contracts/checks.ts';
import type { Setup } from '../../../src/shared/contracts/run-settings.ts';
import { thrownBy } from '../../support/thrown.ts';
import { type TestHost, testHost } from '../sandbox/support.ts';

const check = (name: string, command: string, more: object = {}) => Check.parse({ name, command, ...more });

describe('runChecks', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost({
      files: {
        'README.md': '# test\n',
        'docs/conflict.md': '<<<<<<< ours\n=======\n>>>>>>> theirs\n',
        'test.sh': 'echo "test/a.sh:3: error: it is broken"; exit 1\n',
      },
    });
  });
  afterAll(() => host.close());

  const places = new Semaphore(1);
  function run(
    request: Partial<ChecksRequest>,
    env = new MockActivityEnvironment(),
    held = new Set<string>(),
  ): Promise<ChecksResult> {
    const scratch = createScratch({ ...host.deps, places, held });
    const runChecks = createRunChecks({ mirrors: host.mirrors, scratch, log: host.log });
    const full: ChecksRequest = {
      repo: host.run.repo,
      commit: host.origin.tip(),
      ref: 'refs/heads/main',
      checks: 'detect',
      setup: null,
      since: host.run.base,
      ...request,
    };
    return env.run(() => runChecks(full)) as Promise<ChecksResult>;
  }
  const statuses = ({ checks }: ChecksResult) => checks.map(({ name, status }) => `${name}: ${status}`);

  it('passes a commit whose checks all exit with 0, in its own tree and without a prompt', async () => {
    const commit = host.origin.detached({ 'a.txt': 'a\n' }, { parent: host.run.base, ref: 'refs/agentswarm/x' });
    const result = await run({
      commit,
      ref: 'refs/agentswarm/x',
      checks: [
        check('tree', 'test "$(cat a.txt)" = a && test "$(git rev-parse HEAD)" != ""'),
        check('ci', 'test "$CI" = true'),
      ],
    });
    expect(result.verdict).toBe('passed');
    expect(statuses(result)).toEqual(['conflict markers: passed', 'tree: passed', 'ci: passed']);
    expect(await host.provider.list()).toEqual([]);
  });

  it('fails with what the tool said, runs the checks behind it all the same, or stops there when asked to', async () => {
    const checks = [check('test', 'sh test.sh'), check('more', 'echo hello')];
    const result = await run({ checks });
    expect(result.verdict).toBe('failed');
    expect(statuses(result)).toEqual(['conflict markers: passed', 'test: failed', 'more: passed']);
    expect(result.checks[1]).toMatchObject({
      exitCode: 1,
      errors: [{ check: 'test', file: 'test/a.sh', line: 3, message: 'it is broken' }],
      tail: 'test/a.sh:3: error: it is broken',
    });
    expect(statuses(await run({ checks, first: true }))).toEqual(['conflict markers: passed', 'test: failed']);
  });

  it('stops a check at its time limit, which is a failure', async () => {
    const result = await run({ checks: [check('slow', 'echo begun; sleep 60', { timeoutMinutes: 0.005 })] });
    expect(result.verdict).toBe('failed');
    expect(result.checks[1]).toMatchObject({
      status: 'timed-out',
      errors: [{ message: expect.stringContaining('begun') }],
    });
  });

  it('says none where there is nothing to run, and detects what there is', async () => {
    expect((await run({})).verdict).toBe('none');
    const commit = host.origin.detached(
      { Makefile: 'test:\n\t@echo "1 passed, 2 skipped in 0.1s"\n' },
      { parent: host.run.base, ref: 'refs/agentswarm/make' },
    );
    const result = await run({ commit, ref: 'refs/agentswarm/make' });
    expect(statuses(result)).toEqual(['conflict markers: passed', 'make test: passed']);
    expect(result.checks[1]?.tests).toEqual({ run: 1, failed: 0, skipped: 2 });
  });

  it('finds conflict markers that were committed, but not those that were always there', async () => {
    const commit = host.origin.detached(
      { 'src/a.txt': 'x\n<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n' },
      { parent: host.run.base, ref: 'refs/agentswarm/markers' },
    );
    const result = await run({ commit, ref: 'refs/agentswarm/markers' });
    expect(result.verdict).toBe('failed');
    expect(result.checks[0]?.errors).toMatchObject([{ file: 'src/a.txt', line: 2 }]);
  });

  it('takes a program that no sandbox has for no verdict, and a script that is gone for a failure', async () => {
    const missing = await run({ checks: [check('lint', 'no-such-linter .')] });
    expect(missing).toMatchObject({
      verdict: 'could-not-run',
      reason: expect.stringContaining('needs no-such-linter'),
    });
    expect((await run({ checks: [check('lint', './gone.sh')] })).verdict).toBe('failed');
  });

  it('fails a commit that breaks setup, and gives no verdict where setup never worked', async () => {
    const setup = (command: string): Setup => ({ command, keyFiles: ['deps.txt'], network: 'none', timeoutMinutes: 1 });
    const commit = host.origin.detached(
      { 'deps.txt': 'nonsense\n' },
      { parent: host.run.base, ref: 'refs/agentswarm/deps' },
    );
    const request = { commit, ref: 'refs/agentswarm/deps', checks: [check('ok', 'test -f made')] };
    const broken = await run({ ...request, setup: setup('test ! -f deps.txt && touch made') });
    expect(broken.verdict).toBe('failed');
    expect(broken.checks.at(-1)).toMatchObject({ name: 'setup', status: 'failed' });
    const never = await run({ ...request, setup: setup('echo no registry; exit 3') });
    expect(never).toMatchObject({ verdict: 'could-not-run', reason: expect.stringContaining('no registry') });
    const works = await run({ checks: request.checks, setup: setup('touch made') });
    expect(works.verdict).toBe('passed');
  });

  it('ends its sandbox when it is cancelled, and is no leftover while it runs', async () => {
    const env = new MockActivityEnvironment();
    const running = run({ checks: [check('slow', 'sleep 600')] }, env);
    const failed = thrownBy(running);
    while ((await host.provider.list()).length === 0) await delay(20);
    const { provider, checkpointStore, records, log } = host.deps;
    const chains = { check: () => Promise.reject(new Error('is not asked')) };
    const reaped = await reapLeftovers({ provider, checkpointStore, records, chains, held: new Set(), log });
    expect(reaped).toEqual([]);
    env.cancel();
    expect(String(await failed)).toContain('CANCELLED');
    expect(await host.provider.list()).toEqual([]);
    expect(places.taken).toBe(0);
  });
});
