/**
 * A merge queue as a discrete-event simulation on the real decision code. The unit of time is one check. A request
 * is good or bad for ever; a check fails when it holds a bad one, and by chance otherwise.
 */
import { Gate, newGate } from '../../src/shared/merge-queue/gate.ts';
import { sameLine } from '../../src/shared/merge-queue/line.ts';

export type Load = {
  /** Arrivals a check time: Poisson. */
  rate: number;
  requests: number;
  /** Shares of requests that are bad, and of sound checks that fail all the same. */
  bad: number;
  flaky: number;
  slots: number;
};

export type Request = { id: string; at: number; bad: boolean };

export type Outcome = {
  /** Of each request, from its arrival to its answer. */
  turnaround: Map<string, number>;
  landed: Set<string>;
  checks: number;
  cancelled: number;
};

export function arrivals({ rate, requests, bad }: Load, random: () => number): Request[] {
  let at = 0;
  return Array.from({ length: requests }, (_, i) => {
    at += -Math.log(1 - random()) / rate;
    return { id: `r${i}`, at, bad: random() < bad };
  });
}

/** @param random decides which checks are flaky. */
export function throughGate(requests: readonly Request[], load: Load, random: () => number): Outcome {
  const gate = new Gate(newGate('green'), { maxBatch: 50 });
  const byId = new Map(requests.map((request) => [request.id, request]));
  const outcome: Outcome = { turnaround: new Map(), landed: new Set(), checks: 0, cancelled: 0 };
  const ends: { at: number; key: number; passed: boolean }[] = [];
  let now = 0;
  const answer = (id: string): void => {
    outcome.turnaround.set(id, now - (byId.get(id)?.at ?? 0));
  };
  const drive = (): void => {
    for (let decisions = gate.decide(load); decisions.length > 0; decisions = gate.decide(load)) {
      for (const decision of decisions) {
        switch (decision.kind) {
          case 'check': {
            const { key, line } = decision;
            const sound = !line.some((id) => byId.get(id)?.bad === true);
            const passed = sound && random() >= load.flaky;
            outcome.checks += 1;
            ends.push({ at: now + 1, key, passed });
            break;
          }
          case 'cancel':
            outcome.cancelled += 1;
            break;
          case 'land':
            for (const id of decision.line) {
              outcome.landed.add(id);
              answer(id);
            }
            gate.landed();
            break;
          case 'eject':
            answer(decision.id);
        }
      }
    }
  };
  const coming = [...requests];
  for (;;) {
    const [request] = coming;
    // All checks take equally long, so they end in the order in which they began.
    const [ending] = ends;
    if (ending !== undefined && ending.at <= (request?.at ?? Infinity)) {
      ends.shift();
      now = ending.at;
      gate.checked(ending.key, { passed: ending.passed, report: '' });
    } else if (request !== undefined) {
      coming.shift();
      now = request.at;
      gate.add({ id: request.id, priority: 5, fix: false });
    } else {
      return outcome;
    }
    drive();
  }
}

/** One slot and a batch that waits as a whole, without flakes. @returns how many checks it took, and how many again. */
export function bisect(size: number, bad: ReadonlySet<number>): { checks: number; retries: number; ejected: number } {
  const gate = new Gate(newGate('green'), { maxBatch: size });
  for (let i = 0; i < size; i++) gate.add({ id: String(i), priority: 5, fix: false });
  const counts = { checks: 0, retries: 0, ejected: 0 };
  for (let decisions = gate.decide({ slots: 1 }); decisions.length > 0; decisions = gate.decide({ slots: 1 })) {
    for (const decision of decisions) {
      if (decision.kind === 'check') {
        const again = gate.seen.failed.some(({ line }) => sameLine(line, decision.line));
        counts[again ? 'retries' : 'checks'] += 1;
        gate.checked(decision.key, { passed: !decision.line.some((id) => bad.has(Number(id))), report: '' });
      } else if (decision.kind === 'land') {
        gate.landed();
      } else if (decision.kind === 'eject') {
        counts.ejected += 1;
      }
    }
  }
  return counts;
}

/** Knows which requests are bad and has no flaky checks: every sound one is checked at once, or in the next free slot. */
export function byOracle(requests: readonly Request[], { slots }: Load): Outcome {
  const outcome: Outcome = { turnaround: new Map(), landed: new Set(), checks: 0, cancelled: 0 };
  const freeAt = Array.from({ length: slots }, () => 0);
  const sound = requests.filter(({ bad }) => !bad);
  for (let i = 0; i < sound.length; ) {
    const first = sound[i];
    if (first === undefined) break;
    const slot = freeAt.indexOf(Math.min(...freeAt));
    const start = Math.max(first.at, freeAt[slot] ?? 0);
    freeAt[slot] = start + 1;
    outcome.checks += 1;
    for (let next = sound[i]; next !== undefined && next.at <= start; next = sound[++i]) {
      outcome.landed.add(next.id);
      outcome.turnaround.set(next.id, start + 1 - next.at);
    }
  }
  return outcome;
}
