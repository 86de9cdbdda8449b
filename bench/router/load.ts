/** Agents that hold conversations one after the other, and what became of their requests. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Strategy } from './strategies.ts';
import { answerTo, seeded } from './text.ts';

export type Load = { requests: number; agents: number; turns: number; seed: number };

export type Outcome = {
  startedAt: number;
  wallMs: number;
  /** Of each request, failed ones included. */
  durationsMs: number[];
  failed: number;
  /** Answers that are not what was streamed, to the letter. */
  mangled: number;
  /** Turns whose conversation was answered by a healthy endpoint before, and how many of them stayed there. */
  couldStay: number;
  stayed: number;
};

/** Between two turns an agent runs its tools for 0 to 200 ms. */
const MAX_TOOLS_MS = 200;

export async function drive(
  strategy: Strategy,
  load: Load,
  isHealthy: (endpoint: string) => boolean,
): Promise<Outcome> {
  const conversations = Math.ceil(load.requests / load.turns);
  const startedAt = Date.now();
  const begun = performance.now();
  const outcome: Outcome = { startedAt, wallMs: 0, durationsMs: [], failed: 0, mangled: 0, couldStay: 0, stayed: 0 };
  let next = 0;

  async function converse(conversation: number): Promise<void> {
    const random = seeded(load.seed * 100_003 + conversation);
    let home: string | undefined;
    for (let turn = 0; turn < load.turns; turn++) {
      const request = conversation * load.turns + turn;
      if (request >= load.requests) return;
      const asked = performance.now();
      try {
        const { text, endpoint } = await strategy({ request, conversation: String(conversation) });
        if (text !== answerTo(request).join('')) outcome.mangled++;
        if (home !== undefined && isHealthy(home)) {
          outcome.couldStay++;
          if (endpoint === home) outcome.stayed++;
        }
        home = endpoint;
      } catch {
        outcome.failed++;
      }
      outcome.durationsMs.push(performance.now() - asked);
      await sleep(random() * MAX_TOOLS_MS);
    }
  }

  async function work(): Promise<void> {
    while (next < conversations) await converse(next++);
  }
  await Promise.all(Array.from({ length: load.agents }, work));
  outcome.wallMs = performance.now() - begun;
  return outcome;
}

/** The q-th quantile, nearest rank. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
