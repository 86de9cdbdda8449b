/** What goes wrong with tasks, agents and sandboxes costs time, and no work. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { check, type Play, step, write } from '../../examples/scripted-model/steps.ts';
import { userTexts } from '../../examples/scripted-model/conversation.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import type { TaskInput } from '../../src/shared/contracts/task.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { chainRuns } from '../support/chain-runs.ts';
import { runContext } from '../support/run-context.ts';
import { planned, type Scenario, scenarioScript, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const once =
  (...tasks: ReturnType<typeof planned>[]): Scenario['plan'] =>
  ({ planned: known }) => ({
    tasks: known.size === 0 ? tasks : [],
    done: true,
  });

const swept: Scenario = {
  plan: once(planned('swept')),
  tasks: {
    swept: () => ({
      steps: [
        step('First half.', write('first.txt', 'first\n'), {
          name: 'bash',
          arguments: {
            command: 'mkdir -p out && echo untracked > out/made.txt && chmod +x out/made.txt && rm README.md',
          },
        }),
        step('Second half.', write('second.txt', 'second\n')),
        check('All there?', 'test -x out/made.txt && cat first.txt second.txt out/made.txt && ! test -e README.md'),
      ],
      handoff: { status: 'complete', summary: 'Both halves.' },
    }),
  },
};

const lost: Scenario = {
  plan: once(planned('lost')),
  tasks: {
    lost: (attempt): Play => ({
      steps: Array.from({ length: attempt === 1 ? 200 : 1 }, (_, i) =>
        step('On.', write('lost.txt', `${attempt}.${i}\n`)),
      ),
      handoff: { status: 'complete', summary: `Attempt ${attempt}.` },
    }),
  },
};

/** Its agent is ended from outside after its first step; what it did until then is in the work tree of the next. */
const fallen: Scenario = {
  plan: once(planned('fallen')),
  tasks: {
    fallen: (attempt): Play =>
      attempt === 1
        ? {
            steps: Array.from({ length: 200 }, (_, i) => step('On.', write('fallen.txt', `from attempt 1, ${i}\n`))),
            handoff: { status: 'complete', summary: 'Never said.' },
          }
        : {
            steps: [check('Going on.', 'grep -q "from attempt 1" fallen.txt && echo "from attempt 2" >> fallen.txt')],
            handoff: { status: 'complete', summary: 'Finished.' },
          },
  },
};

/** `waiting` keeps the run open; `again` is started by the test, as a second attempt. */
const forgotten: Scenario = {
  plan: once(planned('waiting')),
  tasks: {
    waiting: () => ({
      steps: Array.from({ length: 500 }, (_, i) => step('On.', write('waiting.txt', `${i}\n`))),
      handoff: { status: 'complete', summary: 'Never said.' },
    }),
    again: (_attempt, conversation) => {
      const told = /Its work is [^.:]*/.exec(userTexts(conversation).join('\n'))?.[0] ?? 'nothing';
      return {
        steps: [step('Anew.', write('again.txt', `${told}\n`))],
        handoff: { status: 'complete', summary: 'Anew.' },
      };
    },
  },
};

const outcomes: Scenario = {
  plan: once(
    planned('ground'),
    planned('upon', { dependsOn: ['ground'] }),
    planned('flaky'),
    planned('half'),
    planned('stuck'),
    planned('hopeless', { dependsOn: ['stuck'] }),
  ),
  tasks: {
    ground: writes({ 'ground.txt': 'ground\n' }),
    upon: () => ({
      steps: [check('I stand on it?', 'grep -qx ground ground.txt && echo upon >> ground.txt')],
      handoff: { status: 'complete', summary: 'On top.' },
    }),
    flaky: (attempt): Play =>
      attempt === 1
        ? {
            steps: [step('Half.', write('flaky.txt', 'from attempt 1\n'))],
            handoff: { status: 'failed', summary: 'I could not finish it.' },
          }
        : {
            steps: [check('Going on.', 'grep -qx "from attempt 1" flaky.txt && echo "from attempt 2" >> flaky.txt')],
            handoff: { status: 'complete', summary: 'Finished.' },
          },
    half: (attempt): Play => ({
      steps: [step('Part.', write(`half-${attempt}.txt`, 'part\n'))],
      handoff: { status: 'partial', summary: `Part ${attempt} only.` },
    }),
    stuck: () => ({
      steps: [step('Something.', write('stuck.txt', 'something\n'))],
      handoff: { status: 'blocked', summary: 'Nobody told me the password.' },
    }),
    hopeless: writes({ 'hopeless.txt': 'no\n' }),
  },
};

const talkative: Scenario = {
  plan: once(planned('talkative')),
  tasks: {
    talkative: () => ({
      steps: Array.from({ length: 8 }, (_, i) =>
        step(`Step ${i + 1}.`, {
          name: 'bash',
          arguments: { command: `mkdir -p steps && echo ${i + 1} >> steps/log.txt && seq ${i}0000 ${i}1500` },
        }),
      ),
      handoff: { status: 'complete', summary: 'Eight steps.' },
    }),
  },
};

describe('recovery', () => {
  const swarm = useSwarm({
    script: scenarioScript({ swept, lost, fallen, forgotten, outcomes, talkative }),
    latencyMs: 400,
  });

  it('a sandbox whose folder vanishes while the model thinks is made anew from its checkpoint', async () => {
    const { origin, handle } = await swarm.startScenario('recovery-swept', 'swept');
    const swept: string[] = [];
    const sweep = (): void => {
      const found = swarm.sandboxes();
      expect(found).toHaveLength(1);
      for (const id of found) rmSync(join(swarm.stateDir, 'sandboxes', id), { recursive: true });
      swept.push(...found);
    };
    await swarm.untilThinking('swept', 2);
    sweep();
    // And once more, when all is done but the handoff: collecting finds the work too.
    await swarm.untilThinking('swept', 4);
    sweep();
    expect(await handle.result()).toMatchObject({ status: 'complete', landed: 1, retries: 0 });
    expect(new Set(swept).size).toBe(2);
    expect(origin.files()).toEqual({
      'first.txt': '100644 first\n',
      'second.txt': '100644 second\n',
      'out/made.txt': '100755 untracked\n',
    });
    expect(swarm.requests('swept')).toHaveLength(4);
    await swarm.settled();
  }, 120_000);

  it('a task that is terminated from outside is missed, and tried again', async () => {
    const settings = { childSilenceSeconds: 2 };
    const { origin, handle } = await swarm.startScenario('recovery-lost', 'lost', { settings });
    await swarm.untilThinking('lost', 2);
    await swarm.client.workflow.getHandle('recovery-lost/lost.1').terminate('a test');
    expect(await handle.result()).toMatchObject({
      status: 'complete',
      landed: 1,
      retries: 1,
      tasks: [{ attempts: 2 }],
    });
    expect(fileOn(origin.dir, 'main', 'lost.txt')).toBe('2.0\n');
    await swarm.settled();
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 120_000);

  it('an agent that fails for good leaves its work to the next attempt', async () => {
    const { origin, handle } = await swarm.startScenario('recovery-fallen', 'fallen');
    await swarm.untilThinking('fallen', 3);
    await swarm.client.workflow.getHandle('recovery-fallen/fallen.1/agent').terminate('a test');
    const report = (await handle.result()) as RunReport;
    expect(report).toMatchObject({ status: 'complete', landed: 1, retries: 1, tasks: [{ attempts: 2 }] });
    expect(fileOn(origin.dir, 'main', 'fallen.txt')).toMatch(/^from attempt 1, \d+\nfrom attempt 2\n$/);
    const { handoff } = await swarm.resultOf('recovery-fallen/fallen.1');
    expect(handoff).toMatchObject({ status: 'failed', filesChanged: ['fallen.txt'] });
    await swarm.settled();
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 120_000);

  it('a retry whose start is nowhere any more starts at the tip, and its agent is told', async () => {
    const id = 'recovery-forgotten';
    const { origin, handle } = await swarm.startScenario(id, 'forgotten');
    await swarm.untilThinking('waiting', 1);
    const root = { workflowId: id, firstRunId: (await handle.describe()).runId };
    const input: TaskInput = {
      run: { ...runContext(origin.dir, origin.tip()), root },
      task: { ...planned('again'), dependsOn: [] },
      attempt: 2,
      parent: root,
      ancestors: [root],
      previous: { commit: 'd'.repeat(40), ref: `refs/agentswarm/runs/${id}/again.1`, summary: 'It was hard.' },
      guidance: [],
    };
    const { client, taskQueue } = swarm;
    const task = await client.workflow.start('task', { workflowId: `${id}/again.2`, taskQueue, args: [input] });
    expect(await task.result()).toMatchObject({ handoff: { status: 'complete' }, outcome: { kind: 'landed' } });
    expect(fileOn(origin.dir, 'main', 'again.txt')).toBe('Its work is lost\n');
    expect(swarm.logTail(1_000_000)).toMatch(/"lost":"d{40}".*starting at the tip/);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    await swarm.settled();
  }, 120_000);

  it('tasks wait for what they depend on, go on from a failed attempt, and keep what is not to land', async () => {
    const { origin, report } = await swarm.runScenario('recovery-outcomes', 'outcomes');
    const refOf = (task: string): string => `refs/agentswarm/runs/recovery-outcomes/${task}`;
    expect(report).toMatchObject({ status: 'incomplete', landed: 3, retries: 2 });
    expect(report.reason).toMatch(/half.*stuck.*hopeless/);
    const tasks = Object.fromEntries(report.tasks.map((task) => [task.id, task]));
    expect(tasks).toMatchObject({
      ground: { status: 'complete', branch: 'landed', attempts: 1 },
      upon: { status: 'complete', branch: 'landed', attempts: 1 },
      flaky: { status: 'complete', branch: 'landed', attempts: 2 },
      half: { status: 'failed', branch: 'none', attempts: 2, ref: refOf('half.2'), reason: 'Part 2 only.' },
      stuck: {
        status: 'failed',
        branch: 'none',
        attempts: 1,
        ref: refOf('stuck.1'),
        reason: 'Nobody told me the password.',
      },
      hopeless: { status: 'cancelled', branch: 'none' },
    });
    expect(tasks.hopeless?.reason).toContain('stuck');
    expect(tasks.flaky?.ref).toBeUndefined();

    expect(fileOn(origin.dir, 'main', 'ground.txt')).toBe('ground\nupon\n');
    expect(fileOn(origin.dir, 'main', 'flaky.txt')).toBe('from attempt 1\nfrom attempt 2\n');
    expect(Object.keys(origin.files()).sort()).toEqual(['README.md', 'flaky.txt', 'ground.txt']);
    expect(origin.refs('refs/agentswarm/runs/').sort()).toEqual([refOf('half.2'), refOf('stuck.1')]);
    expect(Object.keys(origin.files(refOf('half.2')))).toEqual(expect.arrayContaining(['half-1.txt', 'half-2.txt']));
    expect(Object.keys(origin.files(refOf('stuck.1')))).toContain('stuck.txt');
    await swarm.settled();
  }, 120_000);

  it('an agent whose transcript grows goes on with a summary of its own and ends its work once', async () => {
    const settings = { compactTokens: 5_000 };
    const { origin, base, report } = await swarm.runScenario('recovery-talkative', 'talkative', { settings });
    expect(report).toMatchObject({ status: 'complete', landed: 1, retries: 0 });
    const runs = await chainRuns(swarm.client, 'recovery-talkative/talkative.1/agent');
    expect(runs.length).toBeGreaterThanOrEqual(3);
    expect(fileOn(origin.dir, 'main', 'steps/log.txt')).toBe('1\n2\n3\n4\n5\n6\n7\n8\n');
    expect(landedOn(origin.dir, 'main', base)).toHaveLength(1);

    const calls = swarm.requests('talkative');
    const compactions = calls.filter((entry) => entry.calls.length === 0);
    expect(compactions).toHaveLength(runs.length - 1);
    expect(calls).toHaveLength(8 + 1 + compactions.length);
    expect(new Set(calls.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(calls.length);
    // Shorter after each summary than before it, and not longer from one to the next.
    const restarts = compactions.map((entry) => calls[calls.indexOf(entry) + 1]?.inputTokens ?? 0);
    for (const [i, restart] of restarts.entries()) {
      expect(restart).toBeLessThan(compactions[i]?.inputTokens ?? 0);
      expect(restart - (restarts[0] ?? 0)).toBeLessThan(30);
    }
    await swarm.settled();
  }, 120_000);
});
