/** The arguments of a comparison. Pure. */
import { StepError } from '../../infra/lib/step-error.mjs';

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

export const USAGE = `npm run bench -- compare <commit> <benchmark> [options] [options of the benchmark]

Compares this checkout (B) with a commit (A) on one benchmark: the two run in turns (AB BA AB ...), until the 95 %
intervals of the ratios of CPU and wall time are at most 2 % wide to either side. <commit>..<commit> compares the second
one (B) with the first one (A).

  --pairs N       at least so many pairs of runs (default 5)
  --max-pairs N   at most so many (default 20, or N of --pairs where that is more)
  --no-control    no pairs that compare A with itself
  --no-warm-up    no first run of each that is not counted
`;

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
