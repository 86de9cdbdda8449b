/** What a sweep means: how soon the next one is due, which errors are filed, which are given up. Pure. */
import type { CheckError, CheckRun } from '../contracts/checks.ts';
import type { FiledError, SweepMemory, TriedFix } from '../contracts/sweep.ts';
import { fnv1a } from '../base/digest.ts';

/** The bounds of the time between two sweeps of a branch that moves. */
export const SWEEP_INTERVAL = { firstMs: 5 * 60_000, minMs: 60_000, maxMs: 30 * 60_000 };
/** So many green sweeps in a row make the interval longer. */
const GREENS_TO_GROW = 3;
const MAX_FIXES_OF_ERROR = 2;
/** So many sweeps are made, one after the other, when each is overtaken. */
export const MAX_STALE = 3;
const MAX_REMEMBERED = 300;

export const newMemory = (): SweepMemory => ({
  number: 0,
  intervalMs: SWEEP_INTERVAL.firstMs,
  greens: 0,
  filed: [],
});

/** Halved when red; half as much again after three greens in a row; within the bounds. */
export function nextInterval(
  { intervalMs, greens }: Pick<SweepMemory, 'intervalMs' | 'greens'>,
  verdict: 'green' | 'red',
  { minMs, maxMs }: { minMs: number; maxMs: number } = SWEEP_INTERVAL,
): Pick<SweepMemory, 'intervalMs' | 'greens'> {
  const within = (ms: number): number => Math.min(maxMs, Math.max(minMs, ms));
  if (verdict === 'red') return { intervalMs: within(intervalMs / 2), greens: 0 };
  if (greens + 1 < GREENS_TO_GROW) return { intervalMs: within(intervalMs), greens: greens + 1 };
  return { intervalMs: within(intervalMs * 1.5), greens: 0 };
}

/** Of a signature, for memories that are carried along. */
export const digestOf = ({ signature }: Pick<CheckError, 'signature'>): string => fnv1a(signature);

export const digestsOf = (errors: readonly CheckError[]): string[] =>
  [...new Set(errors.map(digestOf))].slice(0, MAX_REMEMBERED);

/** All errors of these checks, each signature once. */
export function errorsOf(checks: readonly CheckRun[]): CheckError[] {
  const bySignature = new Map<string, CheckError>();
  for (const { errors } of checks) {
    for (const error of errors) if (!bySignature.has(error.signature)) bySignature.set(error.signature, error);
  }
  return [...bySignature.values()];
}

/**
 * A red sweep that a landing has overtaken says nothing of the branch as it is. On a branch that always moves, what
 * one after the other has shown counts all the same.
 * @param sweeps of commits one after the other.
 */
export function lastingErrors(sweeps: readonly (readonly CheckError[])[]): CheckError[] {
  const [newest = [], ...before] = [...sweeps].reverse();
  const others = before.map((errors) => new Set(errors.map(({ signature }) => signature)));
  return newest.filter(({ signature }) => others.every((signatures) => signatures.has(signature)));
}

export const isInherited = (
  errors: readonly CheckError[],
  { inherited = [] }: Pick<SweepMemory, 'inherited'>,
): boolean => errors.every((error) => inherited.includes(digestOf(error)));

export type Filing = {
  /** Fix tasks are wanted for these. */
  file: CheckError[];
  /** Fix tasks for these are at work. */
  waiting: CheckError[];
  /** Two fixes have not helped; each is told once. */
  escalate: { error: CheckError; tried: string[] }[];
  /** What is remembered: errors that are gone are forgotten, so that they count anew when they come back. */
  filed: FiledError[];
};

/** @param tried all fix tasks so far, with whether they are still at work. */
export function judgeErrors(
  errors: readonly CheckError[],
  { filed, inherited = [] }: Pick<SweepMemory, 'filed' | 'inherited'>,
  tried: readonly TriedFix[],
): Filing {
  const open = new Set(tried.filter((fix) => fix.open).map(({ id }) => id));
  const known = new Map(filed.map((each) => [each.signature, each]));
  const filing: Filing = { file: [], waiting: [], escalate: [], filed: [] };
  for (const error of errors) {
    if (inherited.includes(digestOf(error))) continue;
    const before = known.get(error.signature);
    if (before === undefined) {
      filing.file.push(error);
      continue;
    }
    const settled = !before.tasks.some((id) => open.has(id));
    const given = settled && before.tasks.length >= MAX_FIXES_OF_ERROR;
    filing.filed.push({ ...before, ...(given ? { escalated: true } : {}) });
    if (!settled) filing.waiting.push(error);
    else if (!given) filing.file.push(error);
    else if (before.escalated !== true) filing.escalate.push({ error, tried: before.tasks });
  }
  return filing;
}

/** The memory with the tasks that were made for these errors. */
export function withFiled(
  filed: readonly FiledError[],
  made: readonly { error: CheckError; tasks: string[] }[],
): FiledError[] {
  const all = new Map(filed.map((each) => [each.signature, each]));
  for (const { error, tasks } of made) {
    const before = all.get(error.signature);
    all.set(error.signature, { ...before, signature: error.signature, tasks: [...(before?.tasks ?? []), ...tasks] });
  }
  return [...all.values()].slice(-MAX_REMEMBERED);
}
