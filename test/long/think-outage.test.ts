/** "Paid once" through a server that is down for longer than any heartbeat or retry waits. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keysOf, outageOfServer, Thinkers } from '../activities/llm/thinkers.ts';

let thinkers: Thinkers;
beforeAll(async () => {
  thinkers = await Thinkers.open();
});
afterAll(() => thinkers.close());

test('a server that is down for 45 s while calls run and end costs no second call', { timeout: 240_000 }, async () => {
  const llm = await outageOfServer(thinkers, 45_000);
  expect(keysOf(llm)).toHaveLength(12);
  expect(new Set(keysOf(llm)).size).toBe(12);
});
