import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { type Child, supervise, type SuperviseEvent } from '../../../src/cli/embedded/supervise.ts';
import { until } from '../fixture/command.ts';

/** A real process that sleeps, or ends at once with a code. */
async function startProcess(seconds: string, code = 0): Promise<Child> {
  const child = spawn('sh', ['-c', `sleep ${seconds}; exit ${code}`], { detached: true });
  const exited = new Promise<string>((resolve) => child.once('exit', (c, signal) => resolve(signal ?? `code ${c}`)));
  const kill = (): void => void process.kill(-(child.pid as number), 'SIGKILL');
  return {
    pid: child.pid as number,
    exited,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) kill();
      await exited;
    },
    kill,
  };
}

test('a child that is killed is started again, and stays down once it was stopped', async () => {
  const events: SuperviseEvent[] = [];
  let starts = 0;
  const kept = await supervise({
    name: 'sleeper',
    start: () => ((starts += 1), startProcess('60')),
    onEvent: (event) => events.push(event),
    firstPauseMs: 10,
  });
  const first = kept.pid as number;
  process.kill(-first, 'SIGKILL');
  await until(() => starts === 2 && kept.pid !== undefined, 'a second child');
  expect(kept.pid).not.toBe(first);
  await kept.stop(false);
  expect(starts).toBe(2);
  expect(kept.pid).toBe(undefined);
  expect(events.map(({ kind }) => kind)).toEqual(['ended', 'restarted']);
  expect(events[0]).toMatchObject({ how: 'SIGKILL', restartMs: 10 });
});

test('pauses grow while it keeps dying, up to the longest, and it is given up in the end with the reason', async () => {
  const pauses: number[] = [];
  const kept = await supervise({
    name: 'mayfly',
    start: () => startProcess('0', 3),
    onEvent: (event) => event.kind === 'ended' && pauses.push(event.restartMs),
    firstPauseMs: 4,
    longestPauseMs: 10,
    maxFailures: 4,
  });
  const error = await kept.givenUp;
  expect(error.message).toContain('The mayfly ended 5 times in a row; the last time: code 3');
  expect(pauses).toEqual([4, 8, 10, 10]);
  await kept.stop(false);
});

test('a child that lived long enough starts the pauses anew', async () => {
  const pauses: number[] = [];
  let starts = 0;
  const kept = await supervise({
    name: 'worker',
    start: () => startProcess(++starts % 2 === 0 ? '0.3' : '0'),
    onEvent: (event) => event.kind === 'ended' && pauses.push(event.restartMs),
    firstPauseMs: 10,
    steadyMs: 250,
  });
  await until(() => pauses.length >= 4, 'four deaths');
  await kept.stop(true);
  expect(pauses.slice(0, 4)).toEqual([10, 10, 20, 10]);
});

test('an error of the first start is thrown; one of a later start counts as a death', async () => {
  const broken = { name: 'x', start: () => Promise.reject(new Error('no binary')), onEvent: () => undefined };
  await expect(supervise(broken)).rejects.toThrow('no binary');

  const how: string[] = [];
  let starts = 0;
  const kept = await supervise({
    name: 'x',
    start: () => (++starts === 2 ? Promise.reject(new Error('port taken')) : startProcess(starts === 1 ? '0' : '60')),
    onEvent: (event) => how.push(event.kind === 'ended' ? event.how : event.kind),
    firstPauseMs: 5,
  });
  await until(() => how.length === 3, 'the third start');
  await kept.stop(true);
  expect(how).toEqual(['code 0', 'starting it failed: port taken', 'restarted']);
});
