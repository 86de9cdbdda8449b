/** A branch that fails its checks is mended: one that was broken before, and one that two good tasks broke together. */
import { describe, expect, it } from 'vitest';
import { greenRef } from '../../src/shared/base/ids.ts';
import { bareRepository, gitIn, type TestFiles, type TestRepository } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

/** `check`, a script of the repository, prints errors as a compiler does. */
const repositoryFiles = (check: string): TestFiles => ({
  'README.md': '# test\n',
  Makefile: 'test:\n\t@sh check.sh\n',
  'check.sh': check,
});

const broken: Scenario = {
  plan: () => ({ tasks: [], done: true }),
  tasks: { 'fix-app': writes({ 'app.txt': 'good\n' }) },
  fixes: (errors) =>
    errors.includes('app.txt:1') ? [planned('fix-app', { scope: ['app.txt'], priority: 1 })] : undefined,
};

const together: Scenario = {
  plan: () => ({ tasks: [planned('left'), planned('right')], done: true }),
  tasks: {
    left: writes({ 'left.txt': 'left\n' }),
    right: writes({ 'right.txt': 'right\n' }),
    'fix-pair': writes({ 'pair.txt': 'left and right\n' }),
  },
  fixes: (errors) => (errors.includes('pair.txt:1') ? [planned('fix-pair', { scope: ['pair.txt'] })] : undefined),
};

const weakens: Scenario = {
  plan: () => ({ tasks: [planned('weaken')], done: true }),
  tasks: { weaken: writes({ 'test/a.test.js': "test.skip('a', () => {});\n", 'a.txt': 'a\n' }) },
};

describe('a branch that fails its checks', () => {
  const swarm = useSwarm({ script: scenarioScript({ broken, together, weakens }) });

  const green = (origin: TestRepository, branch = 'main') =>
    gitIn(origin.dir, ['rev-parse', '--verify', greenRef(branch)]);

  it('is mended by a run that is there for nothing else, and its green ref moves', async () => {
    const failing = 'grep -q good app.txt && exit 0\necho "app.txt:1:1: error: it is not good"\nexit 1\n';
    const origin = bareRepository(`${swarm.dir}/broken.git`, { ...repositoryFiles(failing), 'app.txt': 'bad\n' });
    const report = await swarm.run('run-broken', { repo: origin.dir, mode: 'reconcile', branch: 'main' });
    expect(report).toMatchObject({ status: 'complete', landed: 1, green: { verdict: 'green', heals: 1 } });
    expect(origin.files()['app.txt']).toBe('100644 good\n');
    expect(green(origin)).toBe(origin.tip());
    const again = await swarm.run('run-broken-2', { repo: origin.dir, mode: 'reconcile', branch: 'main' });
    expect(again).toMatchObject({ status: 'complete', landed: 0, tasks: [], green: { verdict: 'green', heals: 0 } });
  }, 120_000);

  it('is mended at the end of a run whose tasks passed by themselves and fail together', async () => {
    const failing =
      '[ -f left.txt ] && [ -f right.txt ] && [ ! -f pair.txt ] && echo "pair.txt:1: error: it is not there" && exit 1\nexit 0\n';
    const { origin, report } = await swarm.runScenario('run-together', 'together', {
      files: repositoryFiles(failing),
      settings: { merge: { gate: 'none' } },
    });
    expect(report).toMatchObject({ status: 'complete', landed: 3, green: { verdict: 'green', heals: 1 } });
    expect(green(origin)).toBe(origin.tip());
    const fix = report.tasks.find(({ id }) => id === 'fix-pair');
    expect(fix?.description).toContain('Do fix-pair.');
  }, 120_000);

  it('does not get work that weakens its tests: that is held with the evidence, and kept', async () => {
    const test = "test('a', () => {});\ntest('b', () => {});\n";
    const files = { 'test/a.test.js': test };
    const { origin, base, report } = await swarm.runScenario('run-weakens', 'weakens', { files });
    expect(report).toMatchObject({ status: 'incomplete', landed: 0 });
    const [task] = report.tasks;
    expect(task).toMatchObject({ id: 'weaken', status: 'failed', attempts: 1 });
    expect(task?.reason).toContain('2 fewer tests are declared (test/a.test.js); 1 more test is skipped');
    expect(origin.tip()).toBe(base);
    expect(origin.files(task?.ref)['a.txt']).toBe('100644 a\n');
  }, 120_000);
});
