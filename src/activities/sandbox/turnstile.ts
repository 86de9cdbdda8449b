/**
 * Short work goes through one after the other instead of all at once. When a hundred agents' tools are due at the
 * same moment, equal shares of the processor let all of them end late and together; in order, the first is back
 * with its model while the last still runs, and the agents fall out of step. What takes long gives its place up.
 */
import { availableParallelism } from 'node:os';
import { Semaphore } from '../../shared/base/semaphore.ts';

export type Turnstile = <T>(body: () => Promise<T>) => Promise<T>;

/** `places` bodies at a time, each of which counts for at most `holdMs`; the others wait in the order of asking. */
export function createTurnstile({ places = availableParallelism() + 1, holdMs = 500 } = {}): Turnstile {
  const semaphore = new Semaphore(places);
  return async (body) => {
    const giveBack = await semaphore.take();
    const overdue = setTimeout(giveBack, holdMs);
    try {
      return await body();
    } finally {
      clearTimeout(overdue);
      giveBack();
    }
  };
}
