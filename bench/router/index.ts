/**
 * The router between a healthy endpoint and three bad ones (20 times slower; 429 at once; silent in mid-stream),
 * against round robin over the same four and an oracle that knows the healthy one, in the same run.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { start, stop } from '../overhead/processes.ts';
import { drive, type Load, type Outcome, quantile } from './load.ts';
import type { Counts, Kind } from './servers.ts';
import { direct, endpointAt, IDLE_MS, roundRobin, type Strategy, viaRouter } from './strategies.ts';
import { seeded } from './text.ts';

const BAD: readonly Kind[] = ['slow', 'busy', 'stalling'];
/** What of the beginning is for finding out. */
const LEARNING_MS = 2_000;

type Measured = { outcome: Outcome; counts: Counts };
type Line = { what: string; found: string; target: string; ok: boolean };

export async function router(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '10000' },
      agents: { type: 'string', default: '50' },
      seed: { type: 'string', default: '1' },
    },
  });
  const load: Load = {
    requests: Number(values.requests),
    agents: Number(values.agents),
    turns: 25,
    seed: Number(values.seed),
  };
  const { child, message } = await start(new URL('./servers.ts', import.meta.url), []);
  try {
    const { urls } = message as { urls: Record<Kind, string> };
    const all = (['healthy', ...BAD] as const).map((kind) => endpointAt(kind, urls[kind]));
    const [healthy] = all;
    if (healthy === undefined) throw new Error('there is no healthy endpoint');
    const twins = [healthy, endpointAt('twin', urls.healthy)];
    const measure = async (strategy: Strategy, of = load): Promise<Measured> => {
      const outcome = await drive(strategy, of, (name) => name === 'healthy' || name === 'twin');
      return { outcome, counts: await countsOf(child) };
    };
    // The process warms up on requests that nobody counts.
    await measure(direct(healthy), { ...load, requests: Math.min(500, load.requests) });
    const oracle = await measure(direct(healthy));
    const routed = await measure(viaRouter(all, seeded(load.seed)));
    // Ten times as slow, and its quantiles settle early.
    const robin = await measure(roundRobin(all), { ...load, requests: Math.ceil(load.requests / 10) });
    const twin = await measure(viaRouter(twins, seeded(load.seed)), { ...load, requests: load.requests / 5 });
    const added = await addedLatency(endpointAt('instant', urls.instant), load.seed);

    console.log(`${load.requests} requests of ${load.agents} agents, seed ${load.seed}, idle limit ${IDLE_MS} ms`);
    for (const [name, each] of Object.entries({ oracle, router: routed, 'round robin': robin })) print(name, each);
    const lines = verdicts(load, oracle, routed, twin, added);
    for (const { what, found, target, ok } of lines) {
      console.log(`${ok ? 'ok    ' : 'MISSED'} ${what.padEnd(58)} ${found.padStart(12)}   target ${target}`);
    }
    if (lines.some(({ ok }) => !ok)) process.exitCode = 1;
  } finally {
    await stop(child);
  }
}

async function countsOf(child: ChildProcess): Promise<Counts> {
  const answer = once(child, 'message');
  child.send({ kind: 'count' });
  const [message] = (await answer) as [{ counts: Counts }];
  return message.counts;
}

/** The same instant endpoint, through the router and directly, taking turns: what the router adds. */
async function addedLatency(endpoint: ReturnType<typeof endpointAt>, seed: number) {
  const ways = { direct: direct(endpoint), routed: viaRouter([endpoint], seeded(seed)) };
  const times = { direct: [] as number[], routed: [] as number[] };
  for (let request = 0; request < 2_200; request++) {
    for (const way of request % 2 === 0 ? (['direct', 'routed'] as const) : (['routed', 'direct'] as const)) {
      const asked = performance.now();
      await ways[way]({ request, conversation: String(request % 20) });
      // The first ones warm up.
      if (request >= 200) times[way].push(performance.now() - asked);
    }
  }
  const of = (q: number) => ({ direct: quantile(times.direct, q), routed: quantile(times.routed, q) });
  return { median: of(0.5), p99: of(0.99) };
}

function verdicts(
  load: Load,
  oracle: Measured,
  routed: Measured,
  twin: Measured,
  added: Awaited<ReturnType<typeof addedLatency>>,
): Line[] {
  const { outcome, counts } = routed;
  const success = 1 - outcome.failed / load.requests;
  const p99 = quantile(outcome.durationsMs, 0.99) / quantile(oracle.outcome.durationsMs, 0.99);
  const toBad = badShare(routed);
  const stallMs = Math.max(0, ...counts.stallsMs);
  const stayed = outcome.stayed / outcome.couldStay;
  const twinsStayed = twin.outcome.stayed / twin.outcome.couldStay;
  const addedMs = added.p99.routed - added.p99.direct;
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  return [
    { what: 'answered', found: percent(success), target: '≥ 99.9 %', ok: success >= 0.999 },
    { what: 'p99 ÷ the oracle’s p99', found: p99.toFixed(2), target: '≤ 1.3', ok: p99 <= 1.3 },
    {
      what: 'requests to bad endpoints after the first 2 s',
      found: percent(toBad),
      target: '≤ 2 %',
      ok: toBad <= 0.02,
    },
    {
      what: 'the longest until a silent stream was given up',
      found: `${stallMs.toFixed(0)} ms`,
      target: `≤ ${IDLE_MS + 1_000} ms`,
      ok: counts.stallsMs.length > 0 && stallMs <= IDLE_MS + 1_000,
    },
    { what: 'turns that stayed on the healthy endpoint', found: percent(stayed), target: '≥ 95 %', ok: stayed >= 0.95 },
    {
      what: 'the same between two endpoints that are both healthy',
      found: percent(twinsStayed),
      target: '≥ 95 %',
      ok: twinsStayed >= 0.95,
    },
    {
      what: `added to a direct call's p99 (${added.p99.direct.toFixed(2)} ms) by one at a time`,
      found: `${addedMs.toFixed(2)} ms`,
      target: '≤ 1 ms',
      ok: addedMs <= 1,
    },
    {
      what: 'answers with text lost or twice',
      found: String(outcome.mangled + twin.outcome.mangled),
      target: '0',
      ok: outcome.mangled + twin.outcome.mangled === 0,
    },
  ];
}

function badShare({ outcome, counts }: Measured): number {
  const late = (kind: Kind): number => counts.asked[kind].filter((at) => at > outcome.startedAt + LEARNING_MS).length;
  const bad = BAD.reduce((sum, kind) => sum + late(kind), 0);
  return bad / Math.max(1, bad + late('healthy'));
}

function print(name: string, measured: Measured): void {
  const { outcome, counts } = measured;
  const asked = (['healthy', ...BAD] as const).map((kind) => `${kind} ${counts.asked[kind].length}`).join(', ');
  const times = [0.5, 0.99, 0.999].map((q) => quantile(outcome.durationsMs, q).toFixed(0)).join(' / ');
  console.log(
    `${name.padEnd(12)} p50 / p99 / p99.9 ${times} ms, failed ${outcome.failed} of ${outcome.durationsMs.length}, wall ${(outcome.wallMs / 1_000).toFixed(1)} s; asked: ${asked}`,
  );
}
