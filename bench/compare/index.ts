/**
 * Two commits on one benchmark: their runs alternate on the same machine, and what is printed is the ratio of CPU and
 * wall time with its interval, beside a control that compares one of them with itself.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { StepError } from '../../infra/lib/step-error.mjs';
import { type Checkout, createCheckouts } from './checkout.ts';
import {
  basisOf,
  compareBy,
  isNarrow,
  type Measured,
  type Pair,
  pairLines,
  summaryLines,
  windowOf,
} from './figures.ts';
import { type Command, createRunner, type Runner } from './runner.ts';
import { firstOfPair } from './statistics.ts';

const ROOT = dirname(dirname(import.meta.dirname));

export type CompareOptions = {
  /** A: what is compared with. */
  commit: string;
  /** B: null is this checkout as it is. */
  other: string | null;
  benchmark: string;
  /** For the benchmark. */
  args: readonly string[];
  minPairs: number;
  maxPairs: number;
  control: boolean;
  warmUp: boolean;
};

const USAGE = `npm run bench -- compare <commit> <benchmark> [options] [options of the benchmark]

Compares this checkout (B) with a commit (A) on one benchmark: the two run in turns (AB BA AB ...), until the 95 %
intervals of the ratios of CPU and wall time are at most 2 % wide to either side. <commit>..<commit> compares the second
one (B) with the first one (A).

  --pairs N       at least so many pairs of runs (default 5)
  --max-pairs N   at most so many (default 20, or N of --pairs where that is more)
  --no-control    no pairs that compare A with itself
  --no-warm-up    no first run of each that is not counted
`;

/** A signal has ended the comparison. */
class Interrupted extends Error {
  readonly signalName: NodeJS.Signals;
  constructor(signalName: NodeJS.Signals) {
    super(`ended by ${signalName}`);
    this.signalName = signalName;
  }
}

/** Sets the exit code: 0 when it has measured, whatever the ratio is; 1 when it could not; 128 + n after a signal. */
export async function compare(args: readonly string[], benchmarks: readonly string[]): Promise<void> {
  if (args.includes('--help')) return void process.stdout.write(USAGE);
  const stop = new AbortController();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: NodeJS.Signals) => stop.abort(new Interrupted(name));
  for (const name of signals) process.on(name, onSignal);
  try {
    await measureAll(parseOptions(args, benchmarks), stop.signal);
  } catch (error) {
    if (error instanceof Interrupted) {
      console.error(`The comparison was ${error.message}. Its checkouts are removed.`);
      process.exitCode = 128 + constants.signals[error.signalName];
    } else if (error instanceof StepError) {
      console.error(`\nThe comparison failed at ${error.message}`);
      process.exitCode = 1;
    } else throw error;
  } finally {
    for (const name of signals) process.off(name, onSignal);
  }
}

async function measureAll(options: CompareOptions, signal: AbortSignal): Promise<void> {
  const say = (line: string) => console.error(`compare: ${line}`);
  // Short: sockets lie below it, and their paths may have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'cmp-'));
  const temporary = join(folder, 't');
  mkdirSync(temporary);
  const runner = createRunner({ mark: `TMPDIR=${temporary}`, signal });
  const checkouts = createCheckouts({ root: ROOT, folder, temporary, runner, say });
  try {
    const a = await checkouts.beside(options.commit);
    const b = options.other === null ? checkouts.here() : await checkouts.beside(options.other);
    const what = [options.benchmark, ...options.args].join(' ');
    console.log(`${what}: A is ${a.name}, B is ${b.name}; every ratio is B ÷ A, that of the control A' ÷ A`);
    if (runner.wholeMachine !== null) {
      console.log(
        `The CPU of a run is that of the whole machine meanwhile, other programs included: ${runner.wholeMachine}.`,
      );
    }
    const measure = (checkout: Checkout) =>
      measureOne(runner, checkout.name, checkouts.bench(checkout, [options.benchmark, ...options.args]), options);
    if (options.warmUp) {
      say('warming up: a run of each that is not counted');
      for (const each of [a, b]) await measure(each);
    }
    const { pairs, control } = await rounds([a, b], measure, options);
    for (const line of summaryLines(pairs, control)) console.log(line);
  } finally {
    await runner.close();
    checkouts.remove();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/**
 * One pair of A and B after the other, at least `minPairs`, then until both intervals are narrow. After each of the
 * first `minPairs` comes a pair of A and A, in the same turns: the control meets the same machine at the same time.
 */
async function rounds(
  [a, b]: readonly [Checkout, Checkout],
  measure: (checkout: Checkout) => Promise<Measured>,
  { minPairs, maxPairs, control: controlled }: CompareOptions,
): Promise<{ pairs: Pair[]; control: Pair[] }> {
  const pairs: Pair[] = [];
  const control: Pair[] = [];
  const add = async (to: Pair[], of: readonly [Checkout, Checkout], names: readonly [string, string], what: string) => {
    const turns = firstOfPair(to.length) === 0 ? ([0, 1] as const) : ([1, 0] as const);
    const first = await measure(of[turns[0]]);
    const second = await measure(of[turns[1]]);
    const pair: Pair = turns[0] === 0 ? [first, second] : [second, first];
    to.push(pair);
    const title = `${what} ${String(to.length).padStart(2)}, ${turns.map((which) => names[which]).join(' ')}`;
    for (const line of pairLines(title, names, pair)) console.log(line);
    return pair;
  };
  while (pairs.length < maxPairs) {
    const pair = await add(pairs, [a, b], ['A', 'B'], 'pair');
    if (controlled && control.length < minPairs) await add(control, [a, a], ['A', "A'"], 'control');
    if (pairs.length >= minPairs && isNarrow(compareBy(basisOf(pair), pairs))) break;
  }
  return { pairs, control };
}

async function measureOne(
  runner: Runner,
  name: string,
  command: Command,
  { benchmark }: CompareOptions,
): Promise<Measured> {
  // What an earlier run has written reaches the disk before, not during, this one.
  await runner.run({ ...command, argv: ['sync'] });
  const ended = await runner.run(command);
  // A benchmark whose figures miss their target has measured all the same.
  const missed = ended.code === 1 && /^MISSED/m.test(ended.stdout);
  if ((ended.code !== 0 && !missed) || ended.stdout.includes('SOMETHING WAS LOST')) {
    throw new StepError(
      `a run of ${name}`,
      `\`${benchmark}\` exited with ${ended.code}, so there is no figure to compare; it said:\n${ended.end}`,
      'see what it says; where this commit does not know an option of the benchmark, leave that out.',
    );
  }
  const { wallSeconds, cpuSeconds, othersCpuSeconds, leftRunning } = ended;
  const remarks = [
    ...(missed ? ['missed a target of the benchmark'] : []),
    ...(leftRunning > 0 ? [`left ${leftRunning} processes running, which were ended`] : []),
  ];
  return { whole: { wallSeconds, cpuSeconds }, window: windowOf(benchmark, ended.stdout), othersCpuSeconds, remarks };
}

/** @throws StepError where something is missing or cannot be understood */
export function parseOptions(args: readonly string[], benchmarks: readonly string[]): CompareOptions {
  const [commits, benchmark, ...rest] = args;
  if (commits === undefined || benchmark === undefined || commits.startsWith('-') || benchmark.startsWith('-')) {
    throw new StepError('the arguments', 'a commit and a benchmark come first', `npm run bench -- compare --help`);
  }
  if (!benchmarks.includes(benchmark)) {
    throw new StepError('the arguments', `there is no benchmark "${benchmark}"`, `one of ${benchmarks.join(', ')}`);
  }
  const [commit = '', other = null, ...more] = commits.split('..');
  if (commit === '' || other === '' || other?.startsWith('.') === true || more.length > 0) {
    throw new StepError('the arguments', `"${commits}" names no commits`, 'give <commit> or <commit>..<commit>.');
  }
  const { own, others } = split(rest);
  const minPairs = numberOf(own, '--pairs') ?? 5;
  const maxPairs = numberOf(own, '--max-pairs') ?? Math.max(20, minPairs);
  if (maxPairs < minPairs) {
    throw new StepError('the arguments', `--max-pairs ${maxPairs} is less than --pairs ${minPairs}`, 'raise one.');
  }
  const flags = { control: !own.has('--no-control'), warmUp: !own.has('--no-warm-up') };
  return { commit, other, benchmark, args: others, minPairs, maxPairs, ...flags };
}

/** What is not ours is for the benchmark, in its order. */
function split(args: readonly string[]): { own: Map<string, string>; others: string[] } {
  const own = new Map<string, string>();
  const others: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    const [name = '', value] = arg.split(/=(.*)/s);
    if (name === '--pairs' || name === '--max-pairs') own.set(name, value ?? args[++i] ?? '');
    else if (arg === '--no-control' || arg === '--no-warm-up') own.set(arg, '');
    else others.push(arg);
  }
  return { own, others };
}

function numberOf(own: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = own.get(name);
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value) && Number(value) >= 2) return Number(value);
  throw new StepError('the arguments', `${name} is "${value}"`, 'give a whole number of pairs, at least 2.');
}
