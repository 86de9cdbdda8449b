/** How many sandboxes are open at once on this host, adopted ones included; first come, first served. */
export interface Places {
  /** Resolves with the function that gives the place back. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<() => void>;
  /** A place beyond the limit: what is adopted is open already. */
  takeAnyway(): () => void;
  readonly taken: number;
}

export function createPlaces(limit: number): Places {
  let taken = 0;
  const waiting: (() => void)[] = [];
  const next = () => {
    while (taken < limit) {
      const wake = waiting.shift();
      if (wake === undefined) return;
      wake();
    }
  };
  const place = (): (() => void) => {
    taken += 1;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      taken -= 1;
      next();
    };
  };
  return {
    get taken() {
      return taken;
    },
    takeAnyway: place,
    take(signal) {
      if (signal.aborted) return Promise.reject(reasonOf(signal));
      if (taken < limit && waiting.length === 0) return Promise.resolve(place());
      return new Promise((resolve, reject) => {
        const stop = () => {
          waiting.splice(waiting.indexOf(wake), 1);
          reject(reasonOf(signal));
        };
        const wake = () => {
          signal.removeEventListener('abort', stop);
          resolve(place());
        };
        signal.addEventListener('abort', stop, { once: true });
        waiting.push(wake);
      });
    },
  };
}

const reasonOf = (signal: AbortSignal): Error =>
  signal.reason instanceof Error ? signal.reason : new Error('aborted');
