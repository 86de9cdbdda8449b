/** Runs test files in a copy, and says whether they noticed what is wrong with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Findings, FINDINGS_VARIABLE } from './reporter.ts';
import type { Copy } from './scratch.ts';

export type Verdict =
  /** By a test that failed, or by an error outside of one. */
  | { kind: 'caught'; by: string }
  /** The tests did not end in time, which a person would notice too. */
  | { kind: 'time limit'; afterMs: number }
  | { kind: 'survived' }
  /** No verdict: the patch does not apply, or is no program that runs. */
  | { kind: 'broken'; why: string };

/** Of a file that cannot be loaded: no test looked at the bug. */
const NOT_LOADED =
  /SyntaxError|failed to (?:parse|load|resolve)|cannot find (?:module|package)|does not provide an export/i;
/** Of a machine that is short of something: the test has not looked either. */
const SHORT_OF = /\b(?:EAGAIN|ENOMEM|EMFILE|ENFILE|ENOSPC)\b/;
const GRACE_MS = 10_000;

/** vitest finds these only when it is told to run long tests, and then no others. */
const isLong = (test: string): boolean => test.startsWith('test/long/');

export type Ran = { kind: 'ended'; findings: Findings } | { kind: 'time limit' } | { kind: 'died'; said: string };

/**
 * One run of vitest over these files, ended at the first failure when `bail`. Nothing of it is left running.
 * @param onStart is given the process, so that it can be ended from outside.
 */
export async function runTests(
  copy: Copy,
  tests: readonly string[],
  options: { timeLimitMs: number; bail: boolean; onStart: (child: ChildProcess) => void },
): Promise<Ran> {
  const file = join(`${copy.dir}-tmp`, 'findings.json');
  rmSync(file, { force: true });
  const argv = ['node_modules/vitest/vitest.mjs', 'run', '--maxWorkers=1', '--no-cache'];
  argv.push('--reporter=./test/long/mutation/reporter.ts', ...(options.bail ? ['--bail=1'] : []), ...tests);
  const child = spawn(process.execPath, argv, {
    cwd: copy.dir,
    env: { ...copy.env, AGENTSWARM_TESTS: tests.every(isLong) ? 'long' : '', [FINDINGS_VARIABLE]: file },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: a terminal's Ctrl-C is handled in one place.
    detached: true,
  });
  options.onStart(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += String(data)));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    endGroup(child);
  }, options.timeLimitMs);
  await once(child, 'close');
  clearTimeout(timer);
  copy.killLeftovers();
  if (late) return { kind: 'time limit' };
  if (!existsSync(file)) return { kind: 'died', said: said.slice(-2_000) };
  return { kind: 'ended', findings: JSON.parse(readFileSync(file, 'utf8')) as Findings };
}

/** In good order at first, so that test servers are stopped. */
export function endGroup(child: ChildProcess): void {
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  signal('SIGTERM');
  const timer = setTimeout(() => signal('SIGKILL'), GRACE_MS);
  child.once('close', () => clearTimeout(timer));
}

/** Whether something failed for want of processes, memory or disk: another run is to tell. */
export function isShortage(ran: Ran): boolean {
  if (ran.kind === 'time limit') return false;
  if (ran.kind === 'died') return SHORT_OF.test(ran.said);
  const { failed, errors } = ran.findings;
  return [...failed.map(({ message }) => message), ...errors].some((message) => SHORT_OF.test(message));
}

export function verdictOn(ran: Ran, timeLimitMs: number): Verdict {
  if (ran.kind === 'time limit') return { kind: 'time limit', afterMs: timeLimitMs };
  if (ran.kind === 'died') return { kind: 'broken', why: `the test run died: ${ran.said}` };
  const { failed, errors, passed } = ran.findings;
  const unloaded = errors.find((error) => NOT_LOADED.test(error));
  if (unloaded !== undefined) return { kind: 'broken', why: unloaded };
  if (failed[0] !== undefined) return { kind: 'caught', by: failed[0].test };
  if (errors[0] !== undefined) return { kind: 'caught', by: `an error outside of tests: ${errors[0]}` };
  return passed > 0 ? { kind: 'survived' } : { kind: 'broken', why: 'no test ran' };
}
