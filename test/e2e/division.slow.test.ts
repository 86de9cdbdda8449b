/** Tasks that are divided by subplanners, and what people do below the root. */
import { describe, expect, it } from 'vitest';
import { type Conversation, userTexts } from '../../examples/scripted-model/conversation.ts';
import { step, write } from '../../examples/scripted-model/steps.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { cancelTaskUpdate, steerUpdate } from '../../src/shared/messages.ts';
import { PLANNER_TEXT } from '../../src/shared/planner/text.ts';
import { fileOn } from '../support/branches.ts';
import { atOnce, planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { refusal } from '../support/thrown.ts';
import { useSwarm } from '../support/use-swarm.ts';

const levels: Scenario = {
  // `whole` by its scope, of one folder; `small` and its siblings are too small.
  plan: () => ({
    tasks: [planned('whole', { scope: ['lib/'] }), planned('beside', { scope: ['beside.txt'] })],
    done: true,
  }),
  divisions: {
    whole: ({ complete }) => ({
      tasks: [
        planned('base', { scope: ['lib/base.txt'] }),
        ...(complete(['base']) ? [planned('half', { scope: ['lib/half/'] })] : []),
      ],
      done: complete(['base']),
    }),
    half: () => ({
      tasks: [planned('quarter', { scope: ['lib/half/quarter/'] }), planned('rest', { scope: ['lib/half/rest.txt'] })],
      done: true,
    }),
    // Nothing to divide: one agent does it.
    quarter: () => ({ tasks: [], done: true }),
  },
  tasks: {
    beside: writes({ 'beside.txt': 'beside\n' }),
    base: () => ({
      steps: [step('I write.', write('lib/base.txt', 'base\n'))],
      handoff: { status: 'complete', summary: 'Base.', concerns: ['base is slow'], suggestions: ['measure it'] },
    }),
    quarter: writes({ 'lib/half/quarter/q.txt': 'quarter\n' }),
    rest: writes({ 'lib/half/rest.txt': 'rest\n' }),
  },
};

const SAID = 'Also write told.txt.';
const isTold = (conversation: Conversation): boolean => userTexts(conversation).join('\n').includes(SAID);

const subtree: Scenario = {
  plan: () => ({ tasks: [planned('tree', { divide: true }), planned('other', { divide: true })], done: true }),
  divisions: {
    tree: () => ({ tasks: ['leaf-a', 'leaf-b'].map((id) => planned(id)), done: true }),
    other: () => ({ tasks: [planned('listener')], done: true }),
  },
  tasks: {
    'leaf-a': slowly('leaf-a', 400),
    'leaf-b': slowly('leaf-b', 400),
    listener: (_attempt, conversation) =>
      isTold(conversation)
        ? atOnce({
            text: 'I was told.',
            calls: [{ name: 'write', arguments: { path: 'told.txt', content: 'told\n' } }],
          })
        : slowly('listener', 400)(),
  },
};

const TOTAL = 9_000_000;

describe('division', () => {
  const swarm = useSwarm({ script: scenarioScript({ levels, subtree }), latencyMs: 100 });

  it('goes down three levels, gives what is not worth dividing to one agent, and hands up one handoff', async () => {
    const { origin, report } = await swarm.runScenario('division-levels', 'levels');
    expect(report).toMatchObject({ status: 'complete', retries: 0 });
    expect(fileOn(origin.dir, 'main', 'lib/base.txt')).toBe('base\n');
    expect(fileOn(origin.dir, 'main', 'lib/half/quarter/q.txt')).toBe('quarter\n');
    expect(fileOn(origin.dir, 'main', 'lib/half/rest.txt')).toBe('rest\n');
    const whole = report.tasks.find(({ id }) => id === 'whole');
    expect(whole?.subtasks?.map(({ id, status, branch }) => [id, status, branch])).toEqual([
      ['base', 'complete', 'landed'],
      ['half', 'complete', 'none'],
      ['half/quarter', 'complete', 'landed'],
      ['half/rest', 'complete', 'landed'],
    ]);
    expect(whole?.concerns).toEqual(['base is slow']);
    expect(await swarm.status('division-levels/whole.1/half.1/quarter.1')).toBe('COMPLETED');
    expect(await swarm.status('division-levels/whole.1/half.1/quarter.2/agent')).toBe('COMPLETED');
    await swarm.settled();
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 120_000);

  it('a person cancels one subtree, of which what it used is counted, and steers a running agent in another', async () => {
    const from = swarm.model.log.length;
    const settings = { budget: { tokens: TOTAL } };
    const { origin, handle } = await swarm.startScenario('division-subtree', 'subtree', { settings });
    await Promise.all(['leaf-a', 'leaf-b', 'listener'].map((task) => swarm.untilAsked(task, 3)));
    expect(await refusal(handle.executeUpdate(cancelTaskUpdate, { args: [{ task: 'leaf-a' }] }))).toBe(
      PLANNER_TEXT.noTask('leaf-a'),
    );
    await handle.executeUpdate(cancelTaskUpdate, { args: [{ task: 'tree', reason: 'not now' }] });
    const before = swarm.requests('listener').length;
    const below = swarm.client.workflow.getHandle('division-subtree/other.1');
    await below.executeUpdate(steerUpdate, { args: [{ task: 'listener', text: SAID }] });
    const report = (await handle.result()) as RunReport;
    expect(swarm.requests('listener').length).toBeGreaterThan(before);
    expect(fileOn(origin.dir, 'main', 'told.txt')).toBe('told\n');
    expect(report.tasks.map(({ id, status }) => [id, status])).toEqual([
      ['tree', 'cancelled'],
      ['other', 'complete'],
    ]);
    const [tree] = report.tasks;
    expect(tree?.reason).toBe('not now');
    const answered = swarm.model.log.slice(from).filter(({ aborted, status }) => !aborted && status === 200);
    const tokens = (requests: typeof answered) =>
      requests.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0);
    const ofTree = ['tree', 'leaf-a', 'leaf-b'].map((id) => answered.filter(({ task }) => task === id));
    expect(tree?.tokens).toBeLessThanOrEqual(tokens(ofTree.flat()));
    // Of each leaf one answer may have come too late to be measured.
    expect(tree?.tokens).toBeGreaterThanOrEqual(
      tokens(ofTree.flatMap((each, i) => (i === 0 ? each : each.slice(0, -1)))),
    );
    const spent = report.budget?.spent.tokens ?? 0;
    expect(spent).toBeGreaterThanOrEqual(tokens(answered));
    // Two calls that were cut off, at their most, and nothing of the third that was reserved.
    expect(spent).toBeLessThan(tokens(answered) + 100_000);
    const ends = ['tree.1', 'tree.1/leaf-a.1', 'tree.1/leaf-b.1', 'other.1'].map((id) =>
      swarm.status(`division-subtree/${id}`),
    );
    expect(await Promise.all(ends)).toEqual(['CANCELLED', 'CANCELLED', 'CANCELLED', 'COMPLETED']);
    await swarm.settled();
    expect(Object.keys(origin.files()).some((path) => path.startsWith('leaf-'))).toBe(false);
  }, 120_000);
});
