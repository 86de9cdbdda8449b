/** Kills drawn from a seed: who, in which order, and after how long. */
import { setTimeout as sleep } from 'node:timers/promises';

export type Victim = 'worker' | 'server';
/** Times in ms since the epoch. `to`: it was back and answered. */
export type Downtime = { victim: Victim; from: number; to: number };

/** Mulberry32, by Tommy Ettinger (public domain): numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The victims in an order drawn by Fisher and Yates, each with the time to wait before it, in ms. */
export function plan(victims: readonly Victim[], draw: () => number): { victim: Victim; afterMs: number }[] {
  const order = [...victims];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [order[i], order[j]] = [order[j] as Victim, order[i] as Victim];
  }
  return order.map((victim) => ({ victim, afterMs: Math.round(2_000 + 2_500 * draw()) }));
}

/** Carries the plan out; the time before each kill counts from when the victim before it was back. */
export async function disturb(
  kills: readonly { victim: Victim; afterMs: number }[],
  act: { kill(victim: Victim): Promise<void>; bringBack(victim: Victim): Promise<void> },
): Promise<Downtime[]> {
  const downtimes: Downtime[] = [];
  for (const { victim, afterMs } of kills) {
    await sleep(afterMs);
    const from = Date.now();
    await act.kill(victim);
    await act.bringBack(victim);
    downtimes.push({ victim, from, to: Date.now() });
  }
  return downtimes;
}
