/**
 * `npm test`, `npm run test:slow`, `npm run test:long` and `npm run check`: every gate in one command, each with its
 * time, and a last line `N passed, N failed` that counts tests, and a gate that fails as one failure. The mutants of
 * `test:long` count as one test. Where test files are named, these are run and nothing else but the gates of `npm test`.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { closingLine, COUNTS_FILE_VARIABLE, type Counts, parseCounts } from './counts.ts';
import { STATIC_GATES } from './gates.ts';
import { runCaptured, runInherited } from './processes.ts';

const ROOT = dirname(dirname(import.meta.dirname));
const MODES = ['test', 'test:slow', 'test:long', 'check'] as const;
type Mode = (typeof MODES)[number];

/** Two cores are what the time limits are meant for; beside the tests, which wait half of the time, one is enough. */
const PARALLEL = { check: 2, besideTests: 1 } as const;

/** By Ctrl-C, which the running gate has got too. */
let interrupted = false;
process.on('SIGINT', () => void (interrupted = true));

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const seconds = (since: number): string => `${((Date.now() - since) / 1_000).toFixed(1)} s`;

/** How many failed. What a gate says is shown when it fails. */
async function runStaticGates(lanes: number): Promise<number> {
  const waiting = [...STATIC_GATES];
  let failed = 0;
  const lane = async (): Promise<void> => {
    for (let gate = waiting.shift(); gate !== undefined; gate = waiting.shift()) {
      const started = Date.now();
      const { ok, output } = await runCaptured(gate.command, ROOT);
      say(`${ok ? 'ok    ' : 'FAILED'} ${gate.name} (${seconds(started)})`);
      if (ok) continue;
      failed++;
      say(`\n${output.trimEnd()}\n\n  ${gate.name}: ${gate.remedy}\n`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return failed;
}

/** What a command that writes its counts has counted; one that broke without saying them is one failure. */
async function runCounted(name: string, command: readonly string[], env: Record<string, string>): Promise<Counts> {
  const started = Date.now();
  const folder = await mkdtemp(join(tmpdir(), 'agentswarm-gates-'));
  const countsFile = join(folder, 'counts.json');
  try {
    const code = await runInherited(command, ROOT, { ...env, [COUNTS_FILE_VARIABLE]: countsFile });
    const counts = parseCounts(await readFile(countsFile, 'utf8').catch(() => ''));
    const ok = code === 0 && counts !== null;
    say(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds(started)})`);
    if (counts === null) return { passed: 0, failed: 1, skipped: 0 };
    return { ...counts, failed: code === 0 ? counts.failed : Math.max(1, counts.failed) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** See vitest.config.ts. */
const SETS = { test: 'usual', 'test:slow': 'slow', 'test:long': 'long' } as const;

async function runTests(mode: Exclude<Mode, 'check'>, args: readonly string[]): Promise<Counts> {
  // A file that is named may be a slow one.
  const set = mode === 'test' && args.length > 0 ? '' : SETS[mode];
  const tests = await runCounted('tests', ['vitest', 'run', ...args], { AGENTSWARM_TESTS: set });
  if (mode !== 'test:long' || args.length > 0 || interrupted) return tests;
  const mutants = await runCounted('mutants', [process.execPath, 'test/long/mutation/main.ts'], {});
  return {
    passed: tests.passed + mutants.passed,
    failed: tests.failed + mutants.failed,
    skipped: tests.skipped + mutants.skipped,
  };
}

async function main(mode: Mode, args: readonly string[]): Promise<number> {
  const started = Date.now();
  const lanes = mode === 'check' ? PARALLEL.check : PARALLEL.besideTests;
  const [failedGates, counts] = await Promise.all([
    mode === 'test' || mode === 'check' ? runStaticGates(lanes) : 0,
    mode === 'check' ? null : runTests(mode, args),
  ]);
  say(`all gates took ${seconds(started)}`);
  if (counts === null) {
    say(failedGates === 0 ? 'all gates passed' : `${failedGates} of ${STATIC_GATES.length} gates failed`);
    return failedGates === 0 ? 0 : 1;
  }
  const failed = counts.failed + failedGates;
  say(closingLine({ ...counts, failed }));
  return failed === 0 ? 0 : 1;
}

const [mode = 'test', ...args] = process.argv.slice(2);
const known = MODES.find((each) => each === mode);
if (known === undefined) throw new Error(`There is no mode "${mode}"; one of ${MODES.join(', ')}.`);
process.exitCode = await main(known, args);
