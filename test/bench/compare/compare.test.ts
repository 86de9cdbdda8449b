/** The command itself, on this checkout and its last commit. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseOptions } from '../../../bench/compare/index.ts';
import { processesOf } from '../../support/processes.ts';

const ROOT = join(import.meta.dirname, '../../..');
const TINY = ['dispatch', '--tasks', '5', '--seeds', '1', '--merge-seeds', '0'];

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'compare-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function start(...args: string[]) {
  const child = spawn(process.execPath, [join(ROOT, 'bench/main.ts'), 'compare', ...args], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = once(child, 'close').then(([code]: unknown[]) => ({ code, ...output }));
  return { child, output, ended };
}

function expectNothingLeft(): void {
  expect(readdirSync(folder)).toEqual([]);
  expect(processesOf(folder)).toEqual([]);
  expect(execFileSync('git', ['worktree', 'list'], { cwd: ROOT, encoding: 'utf8' })).not.toContain(folder);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const groups = mounts.map((line) => line.split(' ')).filter(([, , type]) => type === 'cgroup2');
  for (const [, mount = ''] of groups) {
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
    const mine = readdirSync(join(mount, own)).filter((name) => name === `agentswarm-compare-${lastPid}`);
    expect(mine).toEqual([]);
  }
}
let lastPid: number | undefined;

test('this checkout against its last commit: every pair, the ratios with their intervals, the control', async () => {
  const { child, ended } = start('HEAD', ...TINY, '--pairs', '2', '--max-pairs=2', '--no-warm-up');
  lastPid = child.pid;
  const { code, stdout, stderr } = await ended;
  expect(code, stderr).toBe(0);
  const figures = String.raw`whole run: CPU [\d.]+ and [\d.]+ s, ratio [\d.]+; wall [\d.]+ and [\d.]+ s, ratio [\d.]+`;
  expect(stdout).toMatch(new RegExp(String.raw`^pair  1, A B   ${figures}$`, 'm'));
  expect(stdout).toMatch(new RegExp(String.raw`^pair  2, B A   ${figures}$`, 'm'));
  expect(stdout).toMatch(new RegExp(String.raw`^control  1, A A'   ${figures}$`, 'm'));
  expect(stdout).toMatch(new RegExp(String.raw`^control  2, A' A   ${figures}$`, 'm'));
  const interval = String.raw`ratio [\d.]+, 95 % interval [\d.]+ to [\d.]+ \(± [\d.]+ %\) of 2 pairs: `;
  for (const what of ['whole run, CPU', 'whole run, wall', "control A A', CPU", "control A A', wall"])
    expect(stdout).toMatch(new RegExp(`^${what} +${interval}`, 'm'));
  expectNothingLeft();
}, 300_000);

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s in a run leaves no checkout, no process and no group',
  async (signal) => {
    const { child, output, ended } = start('HEAD', 'gate', '--no-control');
    lastPid = child.pid;
    // Warming up takes minutes: the signal meets a run.
    while (!output.stderr.includes('warming up') && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    while (processesOf(folder).length < 2 && child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill(signal);
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(stderr).toContain(`ended by ${signal}`);
    expectNothingLeft();
  },
  300_000,
);

test('a run that fails ends the comparison with what the benchmark said, and leaves nothing', async () => {
  const { child, ended } = start('HEAD', 'dispatch', '--no-such-option', '--no-warm-up');
  lastPid = child.pid;
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/failed at a run of [0-9a-f]+: `dispatch` exited with 1/);
  expect(stderr).toContain('ERR_PARSE_ARGS_UNKNOWN_OPTION');
  expectNothingLeft();
}, 300_000);

test.each([
  [['no-such-commit', 'dispatch'], /"no-such-commit" is not a commit of the repository/],
  [['--orphan', 'dispatch'], /a commit and a benchmark come first/],
  [['HEAD', 'no-such-benchmark'], /there is no benchmark "no-such-benchmark"\n.*one of dispatch, .*overhead/],
  [['HEAD'], /a commit and a benchmark come first/],
])('%j is refused with what to do', async (args, message) => {
  const { ended } = start(...args);
  const { code, stderr } = await ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
  expect(readdirSync(folder)).toEqual([]);
});

const BENCHMARKS = ['overhead', 'merge'];

test('what is not an option of the comparison is for the benchmark, in its order', () => {
  const args = ['v1', 'overhead', '--agents', '20', '--pairs', '6', '--turns=3', '--no-control', '--max-pairs=9', 'x'];
  expect(parseOptions(args, BENCHMARKS)).toEqual({
    commit: 'v1',
    other: null,
    benchmark: 'overhead',
    args: ['--agents', '20', '--turns=3', 'x'],
    minPairs: 6,
    maxPairs: 9,
    control: false,
    warmUp: true,
  });
});

test('without options: five to twenty pairs, with a control and a warm-up', () => {
  const parsed = parseOptions(['v1..v2', 'merge'], BENCHMARKS);
  expect(parsed).toMatchObject({ commit: 'v1', other: 'v2', minPairs: 5, maxPairs: 20, control: true, warmUp: true });
  expect(parseOptions(['v1', 'merge', '--pairs', '30'], BENCHMARKS).maxPairs).toBe(30);
});

test.each([
  [['a...b', 'merge'], /"a\.\.\.b" names no commits/],
  [['..b', 'merge'], /names no commits/],
  [['a..', 'merge'], /names no commits/],
  [['a..b..c', 'merge'], /names no commits/],
  [['a', 'merge', '--pairs', '1'], /--pairs is "1"/],
  [['a', 'merge', '--pairs'], /--pairs is ""/],
  [['a', 'merge', '--max-pairs', '2.5'], /--max-pairs is "2\.5"/],
  [['a', 'merge', '--max-pairs', '3'], /--max-pairs 3 is less than --pairs 5/],
])('%j is refused', (args, message) => {
  expect(() => parseOptions(args, BENCHMARKS)).toThrow(message);
});
