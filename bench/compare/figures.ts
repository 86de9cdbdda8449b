/** What one run of a benchmark is measured by, what two of them are compared by, and how both are printed. Pure. */
import { containsOne, halfWidth, pairedRatio, type RatioInterval } from './statistics.ts';

export type Figures = { wallSeconds: number; cpuSeconds: number };

export type Measured = {
  /** From the start of the benchmark's process to its end, all that it starts included. */
  whole: Figures;
  /** What the benchmark itself says of the part that it measures, where it says both figures. */
  window: Figures | null;
  /** What the rest of the machine used meanwhile; null where it is not known. */
  othersCpuSeconds: number | null;
  /** What is to be known of this run. */
  remarks: readonly string[];
};

/** A run of A and one of B, whichever came first. */
export type Pair = readonly [a: Measured, b: Measured];

export type Comparison = { cpu: RatioInterval; wall: RatioInterval };

/** An interval is narrow at ± 2 %. */
const NARROW = 0.02;

/**
 * The measured window, read from what a benchmark prints. `overhead` spends a third of its time on the pattern that it
 * compares itself with; its window is the row "agentswarm": wall seconds, then the CPU seconds of each part, the last of
 * which is all else that this machine did meanwhile.
 *
 * @returns null for benchmarks that do not print both figures of a window
 */
export function windowOf(benchmark: string, stdout: string): Figures | null {
  if (benchmark !== 'overhead') return null;
  const [, wall, parts] = /^agentswarm +([\d.]+) s .*?CPU: (.*)$/m.exec(stdout) ?? [];
  const cpu = [...(parts ?? '').matchAll(/ (-?[\d.]+) s(?:,|$)/g)].map(([, seconds]) => Number(seconds));
  if (wall === undefined || cpu.length === 0) {
    throw new Error(`The output of ${benchmark} has no row "agentswarm" with wall and CPU seconds:\n${stdout}`);
  }
  return { wallSeconds: Number(wall), cpuSeconds: cpu.reduce((sum, seconds) => sum + seconds, 0) };
}

/** B ÷ A, by the window where the benchmark prints one, else by the whole run. @throws Error below two pairs */
export function compareBy(of: 'window' | 'whole', pairs: readonly Pair[]): Comparison {
  const ratio = (figure: keyof Figures): RatioInterval =>
    pairedRatio(pairs.map(([a, b]) => [figureOf(a, of)[figure], figureOf(b, of)[figure]] as const));
  return { cpu: ratio('cpuSeconds'), wall: ratio('wallSeconds') };
}

/** What decides: the window where there is one. */
export const basisOf = ([a]: Pair): 'window' | 'whole' => (a.window === null ? 'whole' : 'window');

export const isNarrow = ({ cpu, wall }: Comparison): boolean => [cpu, wall].every((each) => halfWidth(each) <= NARROW);

function figureOf(measured: Measured, of: 'window' | 'whole'): Figures {
  const figures = measured[of];
  if (figures === null) throw new Error('One run of the benchmark prints a measured window and another one does not.');
  return figures;
}

/** `title` is "pair 3, B A", `names` are those of its runs. One line for each basis, and one for each remark. */
export function pairLines(title: string, names: readonly [string, string], pair: Pair): string[] {
  const line = (of: 'window' | 'whole'): string => {
    const [a, b] = [figureOf(pair[0], of), figureOf(pair[1], of)];
    const column = (name: string, key: keyof Figures) =>
      `${name} ${a[key].toFixed(2)} and ${b[key].toFixed(2)} s, ratio ${(b[key] / a[key]).toFixed(3)}`;
    const what = of === 'window' ? 'measured window' : 'whole run';
    return `${title}   ${what}: ${column('CPU', 'cpuSeconds')}; ${column('wall', 'wallSeconds')}`;
  };
  const others = pair.map(({ othersCpuSeconds }) => othersCpuSeconds?.toFixed(1));
  const beside =
    pair[0].othersCpuSeconds === null ? [] : [`${title}   other programs used ${others.join(' and ')} CPU s`];
  const remarks = pair.flatMap((run, i) => run.remarks.map((remark) => `${title}   the run of ${names[i]} ${remark}`));
  return [...(basisOf(pair) === 'window' ? [line('window')] : []), line('whole'), ...beside, ...remarks];
}

export function summaryLines(pairs: readonly Pair[], control: readonly Pair[]): string[] {
  const [first] = pairs;
  if (first === undefined) return [];
  const basis = basisOf(first);
  const bases = basis === 'window' ? (['window', 'whole'] as const) : (['whole'] as const);
  const lines = bases.flatMap((of) => {
    const { cpu, wall } = compareBy(of, pairs);
    const what = of === 'window' ? 'measured window' : 'whole run';
    return [intervalLine(`${what}, CPU`, cpu), intervalLine(`${what}, wall`, wall)];
  });
  const narrow = isNarrow(compareBy(basis, pairs))
    ? []
    : [`The interval is wider than ± ${100 * NARROW} %: a smaller difference than its width cannot be seen here.`];
  return [...lines, ...narrow, ...controlLines(basis, control)];
}

function controlLines(basis: 'window' | 'whole', control: readonly Pair[]): string[] {
  if (control.length < 2) return [];
  const { cpu, wall } = compareBy(basis, control);
  const lines = [intervalLine("control A A', CPU", cpu), intervalLine("control A A', wall", wall)];
  if (containsOne(cpu) && containsOne(wall)) return lines;
  return [
    ...lines,
    'The control shows a difference where there is none: one comparison in ten does so by chance (two intervals of 95 %). ' +
      'Else the machine is not quiet: measure again.',
  ];
}

function intervalLine(what: string, interval: RatioInterval): string {
  const { ratio, low, high, pairs } = interval;
  const found = containsOne(interval) ? 'no difference shown' : ratio < 1 ? 'less than A' : 'more than A';
  return (
    `${what.padEnd(21)} ratio ${ratio.toFixed(3)}, 95 % interval ${low.toFixed(3)} to ${high.toFixed(3)} ` +
    `(± ${(100 * halfWidth(interval)).toFixed(1)} %) of ${pairs} pairs: ${found}`
  );
}
