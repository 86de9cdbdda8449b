/** Requests that come while one is served are served together by the next one. */

/**
 * @param serve all of `items` in one go; what it gives is for each of them. It begins after all of them have asked.
 * @param options.alone one of them, by itself: so each gets its own error when the whole fails.
 * @param options.most how many are served in one go.
 */
export function gathered<T, R>(
  serve: (items: readonly T[]) => Promise<R>,
  { alone, most = Infinity }: { alone?: (item: T) => Promise<R>; most?: number } = {},
): (item: T) => Promise<R> {
  type Waiting = { item: T; resolve: (result: R) => void; reject: (error: unknown) => void };
  let waiting: Waiting[] = [];
  let serving = false;

  async function serveNow(now: readonly Waiting[]): Promise<void> {
    try {
      const result = await serve(now.map(({ item }) => item));
      for (const { resolve } of now) resolve(result);
    } catch (error) {
      if (alone === undefined || now.length === 1) for (const { reject } of now) reject(error);
      else for (const { item, resolve, reject } of now) await alone(item).then(resolve, reject);
    }
  }

  async function serveAll(): Promise<void> {
    serving = true;
    // Those that ask in the same moment go together.
    await Promise.resolve();
    while (waiting.length > 0) {
      const now = waiting.slice(0, most);
      waiting = waiting.slice(most);
      await serveNow(now);
    }
    serving = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (!serving) void serveAll();
    });
}
