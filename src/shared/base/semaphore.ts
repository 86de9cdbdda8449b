/** The one way in which work waits for its turn, in workflows and activities alike. Pure. */

/** At most `limit` at once; first come, first served. */
export class Semaphore {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves with what gives the place back; calling it again does nothing. Rejects with the signal's reason. */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#taken < this.#limit) return this.takeAnyway();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      const enter = (): void => {
        signal?.removeEventListener('abort', leave);
        resolve(this.takeAnyway());
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  /** A place beyond the limit, for what is under way already. */
  takeAnyway(): () => void {
    this.#taken += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#taken -= 1;
      while (this.#taken < this.#limit && this.#waiting.length > 0) this.#waiting.shift()?.();
    };
  }

  async run<T>(body: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const giveBack = await this.take(signal);
    try {
      return await body();
    } finally {
      giveBack();
    }
  }
}

export type Exclusive = <T>(key: string, body: () => Promise<T>) => Promise<T>;

/** One at a time by key, in the order of asking. */
export function createExclusive(): Exclusive {
  const turns = new Map<string, Semaphore>();
  return async (key, body) => {
    const turn = turns.get(key) ?? new Semaphore(1);
    turns.set(key, turn);
    try {
      return await turn.run(body);
    } finally {
      // Whoever waited for its turn has it by now.
      if (turn.taken === 0) turns.delete(key);
    }
  };
}
