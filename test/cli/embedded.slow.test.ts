import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RunReport } from '../../src/shared/contracts/run.ts';
import { createLab, type Lab, until } from './fixture/command.ts';

const isServer = ({ argv }: { argv: string[] }): boolean => argv.includes('start-dev');
const isWorker = ({ argv }: { argv: string[] }): boolean => argv.includes('worker');

describe('a run on the embedded server', { timeout: 180_000 }, () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await createLab();
  }, 120_000);
  afterAll(() => lab.dispose());

  test('survives SIGKILL of server and worker on the same port, and ends with its report as JSON only', async () => {
    const run = lab.start(['run', 'repo', '--spec', 'build a thing', '--id', 'kills', '--json']);
    await run.says('run kills has started');
    await run.says('note: spec: build a thing');
    const before = lab.server();
    expect((await lab.run(['steer', 'kills', 'land one'])).stdout).toBe('heard: land one\n');

    process.kill(before.pid as number, 'SIGKILL');
    await run.says('the Temporal server runs again');
    const after = lab.server();
    expect(after.address).toBe(before.address);
    expect(after.pid).not.toBe(before.pid);

    const worker = lab.processes().find(isWorker);
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await run.says('the worker runs again');

    expect((await lab.run(['steer', 'kills', 'land two'])).code).toBe(0);
    expect((await lab.run(['steer', 'kills', 'finish complete'])).code).toBe(0);
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const report = RunReport.parse(JSON.parse(ended.stdout));
    expect(report.tasks.map(({ id }) => id)).toEqual(['one', 'two']);
    expect(ended.stderr).toContain('task one: landed as cccccccccc');
    expect(ended.stderr).toMatch(/Web UI: http:\/\/127\.0\.0\.1:\d+\/namespaces\/default\/workflows\/kills\n/);
    expect(lab.processes()).toEqual([]);
  });

  test('is left by Ctrl-C with its server and worker ended, and taken up by attach where it was', async () => {
    const run = lab.start(['run', 'repo', '--spec', 'SPEC.md', '--id', 'left']);
    await run.says('note: spec: SPEC.md');
    expect((await lab.run(['steer', 'left', 'land before'])).code).toBe(0);
    run.process.kill('SIGINT');
    const left = await run.ended;
    expect(left.code, left.stderr).toBe(130);
    expect(left.stderr).toContain('Take it up again: agentswarm attach left');
    expect(left.stdout).toBe('');
    expect(lab.processes()).toEqual([]);
    expect((await lab.run(['steer', 'left', 'x'])).stderr).toContain('No Temporal server runs');

    const attached = lab.start(['attach', 'left']);
    await attached.says('task before: landed');
    expect((await lab.run(['pause', 'left', '--reason', 'lunch'])).stdout).toBe('paused\n');
    await attached.says('paused: lunch');
    expect((await lab.run(['resume', 'left'])).stdout).toBe('resumed\n');
    expect((await lab.run(['steer', 'left', 'finish incomplete'])).code).toBe(0);
    const ended = await attached.ended;
    expect(ended.code).toBe(1);
    expect(ended.stdout).toContain('# Run left: incomplete');
  });

  test('is listed, and its report shown, when nobody runs the server any more', async () => {
    const list = await lab.run(['status']);
    expect(list.stdout).toMatch(/^RUN +STATUS +STARTED +TOOK\n/);
    expect(list.stdout).toMatch(/^left +completed +/m);
    expect(list.stdout).toMatch(/^kills +completed +/m);
    const shown = await lab.run(['status', 'kills', '--json']);
    expect(RunReport.parse(JSON.parse(shown.stdout)).run).toBe('kills');
    const unknown = await lab.run(['status', 'nobody']);
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain('There is no run "nobody"');
    expect(lab.processes()).toEqual([]);
  });

  test('shares the server with another run, which takes over when the first has ended', async () => {
    const first = lab.start(['run', 'repo', '--spec', 'a', '--id', 'first']);
    await first.says('run first has started');
    const second = lab.start(['run', 'repo', '--spec', 'b', '--id', 'second']);
    await second.says('note: spec: b');
    expect(lab.processes().filter(isServer)).toHaveLength(1);
    const { address } = lab.server();

    const refused = await lab.run(['run', 'repo', '--spec', 'c', '--id', 'second']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('agentswarm attach second');

    expect((await lab.run(['steer', 'first', 'finish complete'])).code).toBe(0);
    expect((await first.ended).code).toBe(0);
    await second.says('taking over');
    await until(() => lab.processes().some(isWorker), 'a worker of the second');
    expect(lab.server().address).toBe(address);
    await until(() => lab.server().pid !== undefined, 'its server');
    await steerWhenReady(lab, 'second', 'finish complete');
    expect((await second.ended).code).toBe(0);
    expect(lab.processes()).toEqual([]);
  });

  test('leaves nothing running when the command itself is killed, and is taken up by dev', async () => {
    const run = lab.start(['run', 'repo', '--spec', 'x', '--id', 'orphan']);
    await run.says('note: spec: x');
    run.process.kill('SIGKILL');
    await until(
      () => lab.processes().length === 0,
      'the end of all processes',
      30_000,
      () => JSON.stringify(lab.processes()),
    );
    const dev = lab.start(['dev']);
    await dev.says('ready; Ctrl-C stops');
    expect(dev.stderr()).toContain('takes up run orphan');
    expect((await lab.run(['dev'])).stderr).toContain('is run by another process already');
    const detached = await lab.run(['run', 'repo', '--spec', 'y', '--id', 'detached', '--detach']);
    expect(detached).toMatchObject({ code: 0, stdout: 'detached\n' });
    const refused = await lab.run(['steer', 'orphan', 'nonsense']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('Run orphan refused "steer": that is nonsense');
    const options = ['--scope', 'a/', 'b.ts', '--after', 'x', '--check', 'true', '--priority', '2'];
    expect(await told(lab, ['add', 'orphan', 'Wash up.', ...options])).toEqual({
      description: 'Wash up.',
      scope: ['a/', 'b.ts'],
      dependsOn: ['x'],
      acceptance: [{ text: '`true` succeeds', command: 'true' }],
      priority: 2,
    });
    expect(await told(lab, ['limits', 'orphan', '--usd', '2.5', '--max-workers', '3'])).toEqual({
      maxWorkers: 3,
      budget: { usd: 2.5 },
    });
    expect(await told(lab, ['retry', 'orphan', 'alpha', '--tell', 'mind the gap'])).toEqual({
      task: 'alpha',
      text: 'mind the gap',
    });
    expect(await told(lab, ['reject', 'orphan', 'plan-1', '--reason', 'no'])).toEqual({ name: 'plan-1', reason: 'no' });
    const shown = await lab.run(['status', 'orphan']);
    expect(shown.stdout).toContain('orphan  running');
    expect((await lab.run(['abort', 'detached'])).code).toBe(0);
    const cancelled = await lab.run(['attach', 'detached']);
    expect(cancelled.code).toBe(1);
    expect(cancelled.stderr).toContain('(cancelled)');
    dev.process.kill('SIGINT');
    expect((await dev.ended).code).toBe(0);
    expect(lab.processes()).toEqual([]);
  });

  test('does not start anything when the check of the models fails', async () => {
    const failed = await lab.run(['run', 'repo', '--spec', 'x'], { TEST_PREFLIGHT: 'No LLM endpoint: set X.' });
    expect(failed).toMatchObject({ code: 2, stdout: '' });
    expect(failed.stderr).toContain('agentswarm: No LLM endpoint: set X.');
    expect(failed.stderr).not.toContain('starting a Temporal server');
  });

  test('is not started with --detach when nobody would carry it on', async () => {
    const refused = await lab.run(['run', 'repo', '--spec', 'x', '--detach']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('Start `agentswarm dev`');
  });

  test('is told to stop twice: ends at once, and kills what it started', async () => {
    const run = lab.start(['run', 'repo', '--spec', 'x', '--id', 'twice']);
    await run.says('note: spec: x');
    const worker = lab.processes().find(isWorker);
    process.kill(worker?.pid ?? 0, 'SIGSTOP');
    run.process.kill('SIGINT');
    await run.says('Ctrl-C again stops at once');
    await delay(500);
    expect(run.process.exitCode).toBe(null);
    run.process.kill('SIGINT');
    expect((await run.ended).code).toBe(130);
    await until(() => lab.processes().length === 0, 'the end of all processes');
  });
});

async function steerWhenReady(lab: Lab, run: string, text: string): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const sent = await lab.run(['steer', run, text]);
    if (sent.code === 0) return;
    await delay(500);
  }
  throw new Error(`steer ${run} did not get through`);
}

/** What the run was told by a command: the fixture answers with it. */
async function told(lab: Lab, argv: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await lab.run(argv);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}
