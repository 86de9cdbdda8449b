/**
 * The speculative gate on the real decision code against an oracle that knows every verdict beforehand, with the same
 * arrivals, slots and check times; and how many checks bisecting takes. Simulated time: the unit is one check.
 */
import { parseArgs } from 'node:util';
import { seeded } from '../router/text.ts';
import { quantile } from '../router/load.ts';
import { arrivals, bisect, byOracle, type Load, type Outcome, throughGate } from './simulate.ts';

/** P95 of the turnaround ÷ the oracle's, at so many arrivals a check time; null: reported only. */
const TARGETS: readonly [rate: number, atMost: number | null][] = [
  [0.5, 1.2],
  [1, 2],
  [2, null],
];

type Measured = { ratio: number; worst: number; ours: number; oracle: number; checks: number; line: string };

export async function gate(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '10' },
      requests: { type: 'string', default: '2000' },
      slots: { type: 'string', default: '4' },
    },
  });
  const common = { requests: Number(values.requests), bad: 0.05, flaky: 0.02, slots: Number(values.slots) };
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1);
  console.log(
    `${seeds.length} seeds of ${common.requests} requests, 5 % bad, 2 % of checks flaky, ${common.slots} slots`,
  );
  let missed = false;
  for (const [rate, atMost] of TARGETS) {
    const measured = measure({ ...common, rate }, seeds);
    const ok = atMost === null || measured.ratio <= atMost;
    missed ||= !ok;
    console.log(`${ok ? 'ok    ' : 'MISSED'} ${measured.line}   target ${atMost === null ? 'none' : `≤ ${atMost}`}`);
  }
  const excess = bisections();
  missed ||= excess.over > 0;
  console.log(
    `${excess.over === 0 ? 'ok    ' : 'MISSED'} bisecting k bad of b, ${excess.tried} batches: at most ${excess.most} of the k·(⌈log2 b⌉+1)+1 checks allowed, ${excess.over} beyond   target 0`,
  );
  if (missed) process.exitCode = 1;
}

/** Turnaround of sound requests, from arrival to landing. All must land, and nothing that is bad. */
function measure(load: Load, seeds: readonly number[]): Measured {
  const all = { ours: [] as number[], oracle: [] as number[] };
  const ratios: number[] = [];
  let checks = 0;
  let cancelled = 0;
  let unjust = 0;
  for (const seed of seeds) {
    const requests = arrivals(load, seeded(seed));
    const sound = requests.filter(({ bad }) => !bad);
    const outcome = throughGate(requests, load, seeded(seed + 1_000_000));
    const broken = requests.find(({ id, bad }) => bad && outcome.landed.has(id));
    if (broken !== undefined) throw new Error(`seed ${seed}: ${broken.id} is bad and has landed`);
    const ours = turnarounds(outcome, sound);
    const oracle = turnarounds(byOracle(requests, load), sound);
    unjust += sound.filter(({ id }) => !outcome.landed.has(id)).length;
    checks += outcome.checks;
    cancelled += outcome.cancelled;
    ratios.push(quantile(ours, 0.95) / quantile(oracle, 0.95));
    all.ours.push(...ours);
    all.oracle.push(...oracle);
  }
  const [ours, oracle] = [quantile(all.ours, 0.95), quantile(all.oracle, 0.95)];
  const ratio = ours / oracle;
  const worst = Math.max(...ratios);
  const total = seeds.length * load.requests;
  const line = [
    `${String(load.rate).padEnd(3)} arrivals a check: P95 ${ours.toFixed(2)} ÷ ${oracle.toFixed(2)} = ${ratio.toFixed(2)}`,
    `(worst seed ${worst.toFixed(2)}), P50 ${quantile(all.ours, 0.5).toFixed(2)}, P99 ${quantile(all.ours, 0.99).toFixed(2)};`,
    `checks a request ${(checks / total).toFixed(2)}, cancelled ${(cancelled / total).toFixed(2)};`,
    `ejected by two flakes ${unjust} of ${total}`,
  ].join(' ');
  return { ratio, worst, ours, oracle, checks, line };
}

function turnarounds(outcome: Outcome, requests: readonly { id: string }[]): number[] {
  return requests.map(({ id }) => {
    const turnaround = outcome.turnaround.get(id);
    if (turnaround === undefined) throw new Error(`${id} was never answered`);
    return turnaround;
  });
}

/** Every placement of up to three bad ones in batches of up to 32. */
function bisections(): { tried: number; over: number; most: string } {
  let tried = 0;
  let over = 0;
  let share = 0;
  for (let size = 1; size <= 32; size++) {
    for (const bad of placements(size)) {
      const { checks } = bisect(size, new Set(bad));
      const bound = bad.length * (Math.ceil(Math.log2(size)) + 1) + 1;
      tried += 1;
      if (checks > bound) over += 1;
      share = Math.max(share, checks / bound);
    }
  }
  return { tried, over, most: `${(100 * share).toFixed(0)} %` };
}

function* placements(size: number): Generator<number[]> {
  yield [];
  for (let a = 0; a < size; a++) {
    yield [a];
    for (let b = a + 1; b < size; b++) {
      yield [a, b];
      for (let c = b + 1; c < size; c++) yield [a, b, c];
    }
  }
}
