/** What breaks the checks does not land: real checks in real sandboxes, before anything is pushed to the branch. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { taskOf } from '../../examples/scripted-model/conversation.ts';
import { landedOn } from '../support/branches.ts';
import { bareRepository, gitIn } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';
import { temporal } from '../support/temporal.ts';

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

describe('a run whose repository has checks', () => {
  let swarm: Swarm;
  beforeAll(async () => {
    const { address, client, uniqueQueue } = await temporal();
    swarm = await Swarm.start({
      client: await client(),
      address,
      taskQueue: uniqueQueue(),
      script: scenarioScript({ gated }),
    });
  }, 60_000);
  afterAll(() => swarm?.stop());

  it('ejects the task that breaks them, with their output, lands the others, and the planner has it done anew', async () => {
    const origin = bareRepository(`${swarm.dir}/gated.git`, { 'README.md': '# rules\n' });
    const base = origin.tip();
    const report = await swarm.run('run-gated', {
      repo: origin.dir,
      spec: specOf('gated'),
      branch: 'main',
      settings: { checks: [{ name: 'rules', command: CHECK }], sweeps: 'off' },
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
});
