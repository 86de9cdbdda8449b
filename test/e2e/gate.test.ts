/** What breaks the checks does not land, and nothing does on a branch that people have frozen. */
import { execFile } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { taskOf } from '../../examples/scripted-model/conversation.ts';
import { landedOn } from '../support/branches.ts';
import { bareRepository, gitIn } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const CHECK =
  'for f in $(find . -name "*.rule" -not -path "./.git/*"); do grep -q "^sound" $f || { echo "$f:1:1: error: the rule is not sound"; exit 3; }; done';

const gated: Scenario = {
  plan: () => ({ tasks: [planned('left'), planned('crooked'), planned('right')], done: true }),
  tasks: {
    left: writes({ 'left.rule': 'sound\n' }),
    right: writes({ 'right.rule': 'sound\n' }),
    crooked: (_, conversation) =>
      writes({ 'crooked.rule': taskOf(conversation) === 'crooked' ? 'bent\n' : 'sound again\n' })(),
  },
};

const frozen: Scenario = {
  plan: () => ({ tasks: [planned('patient')], done: true }),
  tasks: { patient: writes({ 'patient.txt': 'patient\n' }) },
};

describe('a run whose repository has checks', () => {
  const swarm = useSwarm({ script: scenarioScript({ gated, frozen }) });

  async function cli(...argv: string[]): Promise<string> {
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const place = ['--config', join(swarm.dir, 'temporal.config.mjs'), '--state-dir', swarm.stateDir];
    const env = { ...process.env, TEMPORAL_ADDRESS: swarm.address };
    return (await promisify(execFile)(process.execPath, [main, ...argv, ...place], { env })).stdout;
  }

  it('ejects the task that breaks them, with their output, lands the others, and the planner has it done anew', async () => {
    const { origin, base, report } = await swarm.runScenario('run-gated', 'gated', {
      settings: { checks: [{ name: 'rules', command: CHECK, quick: false, timeoutMinutes: 1 }], sweeps: 'off' },
    });
    const byId = new Map(report.tasks.map((task) => [task.id, task]));
    expect([...byId.keys()].sort()).toEqual(['crooked', 'crooked-r2', 'left', 'right']);
    for (const id of ['left', 'right', 'crooked-r2']) expect(byId.get(id)?.branch).toBe('landed');
    const crooked = byId.get('crooked');
    expect(crooked?.branch).toBe('ejected');
    expect(crooked?.reason).toContain('rules');
    expect(crooked?.reason).toContain('crooked.rule:1');
    expect(crooked?.reason).toContain('the rule is not sound');
    // It was never on the branch, not for a moment that a commit could show.
    expect(origin.git('log', '--format=%H', '-S', 'bent', `${base}..main`)).toBe('');
    expect(landedOn(origin.dir, 'main', base)).toHaveLength(3);
    expect(gitIn(origin.dir, ['for-each-ref', '--format=%(refname)', 'refs/agentswarm/gate/'])).toBe('');
    await swarm.settled();
  }, 120_000);

  it('waits while its branch is frozen, which status tells with the reason, and lands when it is thawed', async () => {
    const origin = bareRepository(`${swarm.dir}/frozen.git`, { 'README.md': '# frozen\n' });
    const base = origin.tip();
    const branch = ['--branch', 'main'];
    expect(await cli('freeze', origin.dir, ...branch, '--reason', 'release 7')).toContain('Nothing lands on main');
    const running = swarm.run('run-frozen', {
      repo: origin.dir,
      spec: specOf('frozen'),
      branch: 'main',
      settings: { sweeps: 'off' },
    });
    await swarm.until('run-frozen', ({ queued }) => queued === 1);
    await expect
      .poll(() => cli('status', 'run-frozen'), { timeout: 20_000 })
      .toContain('main is frozen by a person: release 7');
    expect(origin.tip()).toBe(base);
    expect(await cli('thaw', origin.dir, ...branch, '--reason', 'it is out')).toContain('Work lands on main again');
    expect(await running).toMatchObject({ status: 'complete', landed: 1 });
    expect(landedOn(origin.dir, 'main', base)).toHaveLength(1);
    await expect(cli('thaw', origin.dir, ...branch, '--reason', 'once more')).rejects.toThrow('is not frozen');
    await swarm.settled();
  }, 120_000);

  it('waits on a branch that was frozen by a linked work tree, whatever else the run and the thaw call it', async () => {
    const { dir: seed } = bareRepository(`${swarm.dir}/linked-seed.git`, { 'README.md': '# linked\n' });
    const [app, tree, link] = ['linked', 'linked-tree', 'linked-link'].map((name) => join(swarm.dir, name)) as Three;
    gitIn(swarm.dir, ['clone', '--quiet', seed, app]);
    gitIn(app, ['branch', 'release']);
    gitIn(app, ['worktree', 'add', '--quiet', '-b', 'side', tree]);
    symlinkSync(app, link);
    const tip = () => gitIn(app, ['rev-parse', 'release']);
    const base = tip();
    const branch = ['--branch', 'release', '--reason'];
    expect(await cli('freeze', tree, ...branch, 'release 8')).toContain('Nothing lands on release');
    const running = swarm.run('run-linked', {
      repo: String(pathToFileURL(link)),
      spec: specOf('frozen'),
      branch: 'release',
      settings: { sweeps: 'off' },
    });
    await swarm.until('run-linked', ({ queued }) => queued === 1);
    await expect
      .poll(() => cli('status', 'run-linked'), { timeout: 20_000 })
      .toContain('release is frozen by a person: release 8');
    expect(tip()).toBe(base);
    expect(await cli('thaw', join(app, '.git'), ...branch, 'it is out')).toContain('Work lands on release again');
    expect(await running).toMatchObject({ status: 'complete', landed: 1 });
    expect(landedOn(app, 'release', base)).toHaveLength(1);
    await swarm.settled();
  }, 120_000);
});

type Three = [string, string, string];
