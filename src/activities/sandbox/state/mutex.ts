/** One at a time by key, in the order of asking. */
export function createMutex(): <T>(key: string, body: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return async (key, body) => {
    const before = tails.get(key) ?? Promise.resolve();
    const own = before.then(body, body);
    const tail = own.catch(() => undefined);
    tails.set(key, tail);
    try {
      return await own;
    } finally {
      if (tails.get(key) === tail) tails.delete(key);
    }
  };
}
