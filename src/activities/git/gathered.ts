/** Requests that come while one is served are served together by the next one. */

/**
 * @param serve all of `items` in one go. @param alone one of them, by itself: so each gets its own error when the
 * whole fails.
 */
export function gathered<T>(
  serve: (items: readonly T[]) => Promise<void>,
  alone: (item: T) => Promise<void>,
  most: number,
): (item: T) => Promise<void> {
  type Waiting = { item: T; resolve: () => void; reject: (error: unknown) => void };
  let waiting: Waiting[] = [];
  let serving = false;

  async function serveAll(): Promise<void> {
    serving = true;
    while (waiting.length > 0) {
      const now = waiting.slice(0, most);
      waiting = waiting.slice(most);
      const [first] = now;
      if (now.length === 1 && first !== undefined) {
        await alone(first.item).then(first.resolve, first.reject);
        continue;
      }
      try {
        await serve(now.map(({ item }) => item));
        for (const { resolve } of now) resolve();
      } catch {
        for (const { item, resolve, reject } of now) await alone(item).then(resolve, reject);
      }
    }
    serving = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (!serving) void serveAll();
    });
}
