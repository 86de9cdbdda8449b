/** An error that two fixes do not mend goes back to the planner, and nothing is kept frozen for it. */
import { describe, expect, it } from 'vitest';
import { userTexts } from '../../examples/scripted-model/conversation.ts';
import { check } from '../../examples/scripted-model/steps.ts';
import { greenRef } from '../../src/shared/base/ids.ts';
import { bareRepository, gitIn } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const TOLD = 'still fail after 2 fixes (fix-odd, fix-odd-2)';

const hopeless: Scenario = {
  plan(_view, conversation) {
    const told = userTexts(conversation).some((text) => text.includes(TOLD));
    return { tasks: [planned('odd'), ...(told ? [planned('undo-odd')] : [])], done: true };
  },
  tasks: {
    odd: writes({ 'odd.txt': 'odd\n' }),
    'fix-odd': writes({ 'other.txt': '1\n' }),
    'fix-odd-2': writes({ 'other.txt': '2\n' }),
    'undo-odd': () => ({
      steps: [check('I take it back.', 'git rm -q odd.txt')],
      handoff: { status: 'complete', summary: 'Taken back.' },
    }),
  },
  fixes(errors) {
    if (!errors.includes('odd.txt:1')) return undefined;
    return [planned(errors.includes('- fix-odd:') ? 'fix-odd-2' : 'fix-odd')];
  },
};

describe('an error that stays', () => {
  const swarm = useSwarm({ script: scenarioScript({ hopeless }) });

  it('is given back to the planner, with what was tried, when two fixes have not helped', async () => {
    const failing = '[ -f odd.txt ] && echo "odd.txt:1: error: it is odd" && exit 1\nexit 0\n';
    const origin = bareRepository(`${swarm.dir}/hopeless.git`, {
      Makefile: 'test:\n\t@sh check.sh\n',
      'check.sh': failing,
    });
    const report = await swarm.run('run-hopeless', {
      repo: origin.dir,
      spec: specOf('hopeless'),
      branch: 'main',
      settings: { merge: { gate: 'none' } },
    });
    expect(report).toMatchObject({ status: 'complete', landed: 2, green: { verdict: 'green' } });
    expect(report.tasks.map(({ id }) => id)).toEqual(['odd', 'fix-odd', 'fix-odd-2', 'undo-odd']);
    expect(gitIn(origin.dir, ['rev-parse', '--verify', greenRef('main')])).toBe(origin.tip());
    await swarm.settled();
  }, 120_000);
});
