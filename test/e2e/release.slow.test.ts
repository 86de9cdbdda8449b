/** What guards hold lands when a person releases it, at every level, through the real queue and the real command. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Conversation, userTexts } from '../../examples/scripted-model/conversation.ts';
import { type Play, step, write } from '../../examples/scripted-model/steps.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { steerUpdate } from '../../src/shared/messages.ts';
import { bareRepository, gitIn } from '../support/repos.ts';
import { atOnce, planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';
import { temporal } from '../support/temporal.ts';

const GO = 'You may go.';
/** Holds its planner open until a person says that it may go. */
const keeper =
  (id: string) =>
  (_: number, conversation: Conversation): Play =>
    userTexts(conversation).join('\n').includes(GO)
      ? { steps: [], handoff: { status: 'complete', summary: 'Gone.' } }
      : {
          steps: Array.from({ length: 400 }, (_turn, i) => step(`Step ${i}.`, write(`${id}/${i}.txt`, `${i}\n`))),
          handoff: { status: 'complete', summary: 'Never told.' },
        };

const held: Scenario = {
  plan: ({ planned: before }) => ({
    tasks:
      before.size > 0 ? [] : [planned('gate'), planned('left'), planned('right'), planned('group', { divide: true })],
    done: true,
  }),
  divisions: {
    group: ({ planned: before }) => ({
      tasks: before.size > 0 ? [] : [planned('weak'), planned('after', { dependsOn: ['weak'] }), planned('inner-gate')],
      done: true,
    }),
  },
  tasks: {
    gate: keeper('gate'),
    'inner-gate': keeper('inner-gate'),
    weak: writes({ 'test/sum.test.ts': "test('one', () => expect(1).toBe(1));\n" }, 'One test is enough.'),
    after: writes({ 'after.txt': 'after\n' }),
    left: writes({ 'shared.txt': 'words of left\n' }),
    right: writes({ 'shared.txt': 'words of right\n' }),
  },
  conflicts: () =>
    atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: 'echo "words of nobody" > shared.txt' } }] }),
};

/** The first landing waits until the other's work is there, so that one meets the other. */
const WAIT_FOR_BOTH = `
[ "$1" = refs/heads/main ] || exit 0
for i in $(seq 100); do
  [ $(git for-each-ref refs/agentswarm/runs/ | grep -c -e left -e right) -ge 2 ] && exit 0
  sleep 0.1
done`;

describe('held work', () => {
  let swarm: Swarm;
  let server: string;
  let client: Awaited<ReturnType<Awaited<ReturnType<typeof temporal>>['client']>>;
  beforeAll(async () => {
    const { address, client: connect, uniqueQueue } = await temporal();
    server = address;
    client = await connect();
    swarm = await Swarm.start({
      client,
      address,
      taskQueue: uniqueQueue(),
      script: scenarioScript({ held }),
      latencyMs: 100,
      config: { run: { maxAttempts: 1 } },
    });
  }, 60_000);
  afterAll(() => swarm?.stop());

  async function cli(...argv: string[]): Promise<string> {
    const main = join(import.meta.dirname, '../../src/cli/main.ts');
    const place = ['--config', join(swarm.dir, 'temporal.config.mjs'), '--state-dir', swarm.stateDir];
    const env = { ...process.env, TEMPORAL_ADDRESS: server };
    return (await promisify(execFile)(process.execPath, [main, ...argv, ...place], { env })).stdout;
  }

  it('is told, released one by one, and landed as it is, marked in commit and report; else the command refuses', async () => {
    const origin = bareRepository(join(swarm.dir, 'held.git'), {
      'test/sum.test.ts': "test('one', () => expect(1).toBe(1));\ntest('two', () => expect(2).toBe(2));\n",
    });
    origin.hook('update', WAIT_FOR_BOTH);
    const run = 'run-release';
    const handle = await swarm.start(run, {
      repo: origin.dir,
      spec: specOf('held'),
      branch: 'main',
      settings: { guard: 'hold', sweeps: 'off' },
    });
    const group = `${run}/group.1`;
    const inGroup = await swarm.until(group, ({ tasks }) => tasks.some(({ held: by }) => by !== undefined));
    expect(inGroup.tasks.find(({ id }) => id === 'weak')).toMatchObject({ status: 'failed', held: 'tamper' });
    expect(inGroup.tasks.find(({ id }) => id === 'after')?.status).toBe('cancelled');
    const atRoot = await swarm.until(run, ({ tasks }) => tasks.some(({ held: by }) => by !== undefined));
    const guarded = atRoot.tasks.find(({ held: by }) => by === 'guard');
    expect(guarded).toMatchObject({ branch: 'ejected', status: 'complete' });
    const name = guarded?.id ?? '';
    origin.hook('update', 'exit 0');
    expect(await cli('status', run)).toContain(`agentswarm release ${run} ${name}`);
    await expect(cli('release', run, 'gate')).rejects.toThrow('no guard holds work of it');
    await expect(cli('release', run, 'nobody')).rejects.toThrow('There is no task "nobody"');

    expect(await cli('release', run, name, '--reason', 'nobody needs\nthose words')).toContain(`work of ${name}`);
    expect(await cli('release', run, 'group/weak')).toContain('done too: after');
    await expect(cli('release', run, 'group/weak')).rejects.toThrow('no guard holds work of it');
    await swarm.until(run, ({ tasks }) => tasks.find(({ id }) => id === name)?.branch === 'landed');
    await swarm.until(group, ({ tasks }) => tasks.find(({ id }) => id === 'after')?.branch === 'landed');

    await client.workflow.getHandle(group).executeUpdate(steerUpdate, { args: [{ task: 'inner-gate', text: GO }] });
    await handle.executeUpdate(steerUpdate, { args: [{ task: 'gate', text: GO }] });
    const report = (await handle.result()) as RunReport;
    expect(report.tasks.find(({ id }) => id === name)).toMatchObject({
      branch: 'landed',
      released: 'nobody needs\nthose words',
      warning: expect.stringContaining('shared.txt: 1 line of'),
    });
    const below = report.tasks.find(({ id }) => id === 'group')?.subtasks ?? [];
    expect(below.find(({ id }) => id === 'weak')).toMatchObject({ branch: 'landed', released: '' });
    expect(origin.files('main')['shared.txt']).toBe('100644 words of nobody\n');
    expect(origin.files('main')['test/sum.test.ts']).not.toContain('two');
    const trailers = gitIn(origin.dir, [
      'log',
      '--format=%s|%(trailers:key=Swarm-Released,valueonly,separator=%x2c)',
      'main',
    ]);
    expect(trailers).toContain(`${name}: Do ${name}.|nobody needs those words\n`);
    expect(trailers).toContain('weak: Do weak.|by a person\n');
    expect(trailers).toContain('after: Do after.|\n');
    await swarm.settled();
    // No agent worked for what was released: its attempt has no child.
    const second = await client.workflow.getHandle(`${run}/${name}.2`).fetchHistory();
    const started = second.events?.filter((event) => event.startChildWorkflowExecutionInitiatedEventAttributes != null);
    expect(started).toEqual([]);
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  }, 180_000);
});
