import { expect, test } from 'vitest';
import { run, which } from '../../../infra/lib/run.mjs';

test('both outputs come back, with the exit code', async () => {
  const result = await run('sh', ['-c', 'echo out; echo err >&2; exit 3']);
  expect(result).toMatchObject({ code: 3, problem: null });
  expect(result.output).toContain('out\n');
  expect(result.output).toContain('err\n');
});

test('lines are given as they come, the last one without its newline too', async () => {
  const lines: string[] = [];
  await run('sh', ['-c', 'printf "a\\nb\\nlast"'], { onLine: (line) => lines.push(line) });
  expect(lines).toEqual(['a', 'b', 'last']);
});

test('at the deadline the whole process group is killed, not the shell alone', async () => {
  const started = Date.now();
  const result = await run('sh', ['-c', 'sleep 60 & sleep 60; true'], { timeoutMs: 300 });
  expect(result).toMatchObject({ code: null, problem: 'timeout' });
  expect(Date.now() - started).toBeLessThan(10_000);
});

test('a program that is not there is said as such', async () => {
  expect(await run('no-such-program', [])).toMatchObject({ code: null, problem: 'not-found' });
});

test('which passes over folders, files that cannot be run, and what is excepted', () => {
  expect(which('sh', { path: '/nowhere:/usr/bin:/bin' })).toMatch(/\/sh$/);
  expect(which('passwd', { path: '/etc' })).toBeNull();
  expect(which('bin', { path: '/usr' })).toBeNull();
  expect(which('sh', { path: '/bin', except: (directory) => directory === '/bin' })).toBeNull();
});
