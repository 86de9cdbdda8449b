/**
 * Puts one bug after the other into copies of HEAD, and asks the tests that should notice:
 * `node test/long/mutation/main.ts [--list] [name…]`. Run whole by `npm run test:long`.
 *
 * 1. The checkout is never edited. What the copies need is deleted at the end, also on Ctrl-C.
 * 2. The tests run without any bug first: one that fails then judges nothing, and fails the whole.
 * 3. A bug counts as caught when a test fails, not when the compiler would have found it.
 */
import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { COUNTS_FILE_VARIABLE } from '../../../infra/gates/counts.ts';
import { gaps, type Mutant, readMutants } from './catalogue.ts';
import { endGroup, isShortage, type Ran, runTests, type Verdict, verdictOn } from './judge.ts';
import { type Copy, createScratch } from './scratch.ts';
import { isCaught, type Judged, lineOf, summaryOf } from './table.ts';
import { typeChecker } from './types.ts';

const ROOT = dirname(dirname(dirname(import.meta.dirname)));
const FOLDER = join(ROOT, 'test/long/mutants');
/** At once; two cores are what the time limits are meant for. */
const LANES = 2;
const NEEDED = 0.95;
/** Of the tests without a bug, all together. */
const FIRST_RUN_LIMIT_MS = 900_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const running = new Set<ChildProcess>();
let stopped: NodeJS.Signals | undefined;

/** Runs tests in a copy; once more when the machine was short of something. */
async function run(copy: Copy, tests: readonly string[], timeLimitMs: number, bail: boolean): Promise<Ran> {
  const ran = await runOnce(copy, tests, timeLimitMs, bail);
  if (!isShortage(ran) || stopped !== undefined) return ran;
  say(`again: the machine was short of processes, memory or disk during ${tests.join(', ')}`);
  await sleep(10_000);
  return await runOnce(copy, tests, timeLimitMs, bail);
}

/** Its process is ended when this one is told to end. */
async function runOnce(copy: Copy, tests: readonly string[], timeLimitMs: number, bail: boolean): Promise<Ran> {
  let child: ChildProcess | undefined;
  const onStart = (started: ChildProcess): void => {
    child = started;
    running.add(started);
  };
  try {
    return await runTests(copy, tests, { timeLimitMs, bail, onStart });
  } finally {
    if (child !== undefined) running.delete(child);
  }
}

/** Takes one after the other of a list, until it is empty or somebody says stop. */
async function lane<T>(list: T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let next = list.shift(); next !== undefined && stopped === undefined; next = list.shift()) await work(next);
}

/** What the tests are without any bug. */
type Before = {
  /** Test files that pass, with how long each took, milliseconds. */
  took: Map<string, number>;
  /** Those that do not pass, with the first failure: they can judge nothing. */
  failing: Map<string, string>;
};

async function runWithoutBugs(copies: readonly Copy[], tests: readonly string[]): Promise<Before> {
  const before: Before = { took: new Map(), failing: new Map() };
  const waiting = [...tests];
  const one = async (copy: Copy, test: string): Promise<void> => {
    const started = Date.now();
    const verdict = verdictOn(await run(copy, [test], FIRST_RUN_LIMIT_MS, false), FIRST_RUN_LIMIT_MS);
    if (stopped !== undefined) return;
    if (verdict.kind === 'survived') before.took.set(test, Date.now() - started);
    else before.failing.set(test, 'by' in verdict ? verdict.by : 'why' in verdict ? verdict.why : 'it did not end');
  };
  await Promise.all(copies.map((copy) => lane(waiting, (test) => one(copy, test))));
  if (stopped !== undefined) return before;
  for (const [test, why] of before.failing) say(`FAILED ${test} without any bug: ${why.slice(0, 500)}`);
  const total = [...before.took.values()].reduce((sum, ms) => sum + ms, 0);
  say(`${before.took.size} of ${tests.length} test files pass without any bug (${(total / 1_000).toFixed(0)} s)`);
  return before;
}

/** Patches that do not apply, or that the compiler would refuse, by name. */
function unfit(copy: Copy, mutants: readonly Mutant[]): Map<string, string> {
  const why = new Map<string, string>();
  const check = typeChecker(copy.dir);
  for (const mutant of mutants) {
    try {
      copy.apply(mutant.file);
      const errors = check(mutant.changes);
      if (errors.length > 0) why.set(mutant.name, `the compiler finds it: ${errors.join('; ')}`);
    } catch (error) {
      const { stderr, message } = error as { stderr?: string; message: string };
      why.set(mutant.name, `the patch does not apply any more: ${stderr ?? message}`);
    } finally {
      copy.reset();
    }
  }
  return why;
}

async function judge(copy: Copy, mutant: Mutant, timeLimitMs: number): Promise<Verdict> {
  copy.apply(mutant.file);
  try {
    return verdictOn(await run(copy, mutant.tests, timeLimitMs, true), timeLimitMs);
  } finally {
    copy.reset();
  }
}

/** All of them, in lanes, the slowest first; those that cannot be judged are `broken`. */
async function judgeAll(copies: readonly Copy[], mutants: readonly Mutant[]): Promise<Judged[]> {
  const [first] = copies;
  if (first === undefined) throw new Error('there is no copy to work in');
  const refused = unfit(first, mutants);
  const { took, failing } = await runWithoutBugs(copies, [...new Set(mutants.flatMap(({ tests }) => tests))].sort());
  const lengthMs = (mutant: Mutant): number => mutant.tests.reduce((sum, test) => sum + (took.get(test) ?? 0), 0);
  const judged: Judged[] = [];
  const waiting = mutants.toSorted((a, b) => lengthMs(b) - lengthMs(a));
  const one = async (copy: Copy, mutant: Mutant): Promise<void> => {
    const started = Date.now();
    // Generous: on a busy machine a slow test must not pass for one that hangs.
    const timeLimitMs = 90_000 + 4 * lengthMs(mutant);
    const useless = mutant.tests.find((test) => failing.has(test));
    const why = refused.get(mutant.name) ?? (useless && `${useless} does not pass without the bug either`);
    const verdict = why === undefined ? await judge(copy, mutant, timeLimitMs) : { kind: 'broken' as const, why };
    if (stopped !== undefined) return;
    const result = { mutant, verdict, ms: Date.now() - started };
    judged.push(result);
    say(lineOf(result));
  };
  await Promise.all(copies.map((copy) => lane(waiting, (mutant) => one(copy, mutant))));
  return judged;
}

/** Whether all is well. */
async function main(args: readonly string[]): Promise<boolean> {
  const names = args.filter((arg) => !arg.startsWith('--'));
  const all = readMutants(FOLDER, ROOT);
  const unknown = names.filter((name) => !all.some((mutant) => mutant.name === name));
  if (unknown.length > 0) throw new Error(`there is no mutant ${unknown.join(', ')}: --list names them`);
  if (args.includes('--list')) {
    for (const { name, area, invariant, bug } of all) say(`${name} (${area}, invariant ${invariant}): ${bug}`);
    return true;
  }
  const mutants = names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
  const lacking = names.length === 0 ? gaps(all) : [];
  for (const gap of lacking) say(`FAILED ${gap}`);
  warnOfChanges();
  const started = Date.now();
  const scratch = createScratch(ROOT);
  try {
    const copies = Array.from({ length: Math.min(LANES, mutants.length) }, (_, i) => scratch.copy(String(i + 1)));
    const judged = await judgeAll(copies, mutants);
    if (stopped !== undefined) return false;
    for (const line of summaryOf(judged)) say(line);
    const caught = judged.filter(isCaught).length / judged.length;
    const broken = judged.some(({ verdict }) => verdict.kind === 'broken');
    const ok = caught >= NEEDED && !broken && lacking.length === 0;
    const took = ((Date.now() - started) / 1_000).toFixed(0);
    say(
      `${ok ? 'ok    ' : 'FAILED'} mutants (${took} s): at least ${100 * NEEDED} % are to be caught, and each judged`,
    );
    return ok;
  } finally {
    scratch.remove();
  }
}

function warnOfChanges(): void {
  const changed = execFileSync('git', ['status', '--porcelain', '-uno'], { cwd: ROOT, encoding: 'utf8' }).trim();
  if (changed === '') return;
  say(`mutants are judged on HEAD: changes of ${changed.split('\n').length} files are not committed, and not in it`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopped = signal;
    say(`stopped by ${signal}: what runs is ended, and the copies are deleted`);
    for (const child of running) endGroup(child);
  });
}
const ok = await main(process.argv.slice(2));
const countsFile = process.env[COUNTS_FILE_VARIABLE];
if (countsFile !== undefined)
  writeFileSync(countsFile, JSON.stringify({ passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 }));
process.exitCode = stopped !== undefined ? 130 : ok ? 0 : 1;
