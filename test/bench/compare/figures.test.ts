import { expect, test } from 'vitest';
import {
  isNarrow,
  type Measured,
  type Pair,
  compareBy,
  pairLines,
  summaryLines,
  windowOf,
} from '../../../bench/compare/figures.ts';

const OVERHEAD = `100 agents × 20 turns of 2000 ms; ideal 40.0 s
bare            45.9 s   1.15 × ideal   CPU: server 32.8 s, worker 16.4 s, scripted model 0.0 s, sandboxes, git and all else on this machine 1.2 s
agentswarm      57.4 s   1.43 × ideal   CPU: server 34.1 s, worker 29.0 s, scripted model 4.5 s, sandboxes, git and all else on this machine 28.4 s
a task's time, mean: 7.1 s until its sandbox, 44.1 s agent (40.0 s of it the model), 1.2 s collecting, 0.3 s handing off
ratio 1.25 (agentswarm ÷ bare; the target is ≤ 1.30)
`;

test('the window of the overhead is its row of ours: wall, and the sum of all CPU', () => {
  const window = windowOf('overhead', OVERHEAD);
  expect(window?.wallSeconds).toBe(57.4);
  expect(window?.cpuSeconds).toBeCloseTo(96, 10);
});

test('an overhead that prints no such row is an error, not a comparison of something else', () => {
  expect(() => windowOf('overhead', OVERHEAD.replace(/^agentswarm.*$/m, ''))).toThrow(/no row "agentswarm"/);
});

test.each(['sandbox', 'merge', 'router', 'scale'])('%s has no window: its whole run is compared', (benchmark) => {
  expect(windowOf(benchmark, OVERHEAD)).toBeNull();
});

const run = (cpuSeconds: number, wallSeconds: number, more: Partial<Measured> = {}): Measured => ({
  whole: { cpuSeconds, wallSeconds },
  window: null,
  othersCpuSeconds: null,
  remarks: [],
  ...more,
});

const windowed = (cpu: number, wall: number): Measured =>
  run(200, 100, { window: { cpuSeconds: cpu, wallSeconds: wall } });

test('both CPU and wall decide whether an interval is narrow enough', () => {
  const steady: Pair[] = [
    [run(10, 10), run(11, 10.1)],
    [run(10, 10), run(11.01, 10.1)],
  ];
  expect(isNarrow(compareBy('whole', steady))).toBe(true);
  const wide: Pair[] = [...steady, [run(10, 10), run(11, 12)]];
  expect(isNarrow(compareBy('whole', wide))).toBe(false);
});

test('every pair is printed with both figures, their ratio, what else ran, and what is to be known of a run', () => {
  const pair: Pair = [
    { ...windowed(100, 50), othersCpuSeconds: 0.4 },
    { ...windowed(110, 45), othersCpuSeconds: 1.2, remarks: ['missed a target of the benchmark'] },
  ];
  expect(pairLines('pair  2, B A', ['A', 'B'], pair)).toEqual([
    'pair  2, B A   measured window: CPU 100.00 and 110.00 s, ratio 1.100; wall 50.00 and 45.00 s, ratio 0.900',
    'pair  2, B A   whole run: CPU 200.00 and 200.00 s, ratio 1.000; wall 100.00 and 100.00 s, ratio 1.000',
    'pair  2, B A   other programs used 0.4 and 1.2 CPU s',
    'pair  2, B A   the run of B missed a target of the benchmark',
  ]);
});

test('the summary says by the interval whether there is a difference, and when it is too wide', () => {
  const pairs: Pair[] = [
    [run(10, 10), run(11, 9)],
    [run(10, 10), run(11.01, 12)],
  ];
  const [cpu = '', wall = '', wide = ''] = summaryLines(pairs, []);
  expect(cpu).toMatch(
    /^whole run, CPU +ratio 1\.100, 95 % interval 1\.094 to 1\.107 \(± 0\.6 %\) of 2 pairs: more than A$/,
  );
  expect(wall).toMatch(/^whole run, wall .*: no difference shown$/);
  expect(wide).toContain('wider than ± 2 %');
});

test('a control that shows a difference is said', () => {
  const pairs: Pair[] = [
    [run(10, 10), run(10, 10)],
    [run(10, 10), run(10.01, 10)],
  ];
  const quiet = summaryLines(pairs, pairs).join('\n');
  expect(quiet).toContain("control A A', CPU");
  expect(quiet).not.toContain('where there is none');
  const drifting: Pair[] = pairs.map(([a, b]) => [a, { ...b, whole: { cpuSeconds: 11, wallSeconds: 10 } }]);
  expect(summaryLines(pairs, drifting).join('\n')).toContain('The control shows a difference where there is none');
});

test('a window in one run only is an error', () => {
  const pairs: Pair[] = [
    [windowed(1, 1), windowed(1, 1)],
    [windowed(1, 1), run(1, 1)],
  ];
  expect(() => compareBy('window', pairs)).toThrow(/prints a measured window and another one does not/);
});
