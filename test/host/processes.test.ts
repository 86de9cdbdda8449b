import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { isAlive, thisMaker } from '../../src/host/processes.ts';

test('a process is known by when it began, not by a number that another one had', async () => {
  const maker = thisMaker();
  expect(isAlive(maker)).toBe(true);
  expect(isAlive({ pid: maker.pid })).toBe(true);
  expect(isAlive({ ...maker, started: `${maker.started}1` })).toBe(false);
  const child = spawn('sleep', ['600']);
  const pid = child.pid ?? 0;
  expect(isAlive({ pid })).toBe(true);
  expect(isAlive({ ...maker, pid })).toBe(false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isAlive({ pid })).toBe(false);
  expect(isAlive({ pid: 2 ** 22 + 1, started: '5' })).toBe(false);
});
