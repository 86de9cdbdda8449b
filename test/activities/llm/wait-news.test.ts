import { beforeEach, expect, test } from 'vitest';
import { createWaitNews } from '../../../src/activities/llm/wait-news.ts';
import type { ModelWait } from '../../../src/shared/contracts/model-wait.ts';
import type { Chain } from '../../../src/shared/base/ids.ts';
import { ModelWaits } from '../../../src/workflows/planner/state/model-waits.ts';
import { createTestLog } from '../../support/log.ts';
import { ManualClock } from './support.ts';

const run: Chain = { workflowId: 'run', firstRunId: '1' };
const other: Chain = { workflowId: 'other', firstRunId: '2' };
const MINUTE = 60_000;

let clock: ManualClock;
let told: { run: string; news: ModelWait }[];
let broken: boolean;
let news: ReturnType<typeof createWaitNews>;

beforeEach(() => {
  clock = new ManualClock(0);
  told = [];
  broken = false;
  news = createWaitNews({
    worker: 'host/1',
    toldAfterMs: 30_000,
    clock,
    log: createTestLog(),
    async tell(root, said) {
      if (broken) throw new Error('the server is away');
      told.push({ run: root.workflowId, news: said });
    },
  });
});

/** Time passes, and what was begun in it is done. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 5_000) {
    clock.advance(Math.min(5_000, left));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a wait of less than 30 s is told to nobody', async () => {
  const call = news.of(run);
  call.waits(clock.now(), 'no endpoint');
  await pass(25_000);
  call.over();
  await pass(MINUTE);
  expect(told).toEqual([]);
});

test('an hour of outage for a hundred calls is one word at its begin, one every five minutes, one at its end', async () => {
  const calls = Array.from({ length: 100 }, () => news.of(run));
  for (const call of calls) call.waits(clock.now(), 'no endpoint');
  await pass(60 * MINUTE);
  for (const call of calls) call.over();
  await pass(MINUTE);
  expect(told.length).toBeGreaterThan(10);
  expect(told.length).toBeLessThan(16);
  expect(told[0]).toEqual({
    run: 'run',
    news: { worker: 'host/1', at: 30_000, waiting: { since: 0, calls: 100, why: 'no endpoint' } },
  });
  expect(told.at(-1)?.news.waiting).toBeUndefined();
  expect(told.slice(0, -1).every(({ news: said }) => said.waiting !== undefined)).toBe(true);
});

test('calls that take turns in waiting are one wait', async () => {
  let call = news.of(run);
  call.waits(clock.now(), 'limits');
  for (let i = 0; i < 20; i++) {
    await pass(40_000);
    call.over();
    call = news.of(run);
    call.waits(clock.now(), 'limits');
  }
  expect(told.filter(({ news: said }) => said.waiting === undefined)).toEqual([]);
  expect(told.length).toBeLessThan(5);
});

test('each run is told of its own calls only', async () => {
  news.of(run).waits(clock.now(), 'a');
  const second = news.of(other);
  second.waits(clock.now(), 'b');
  await pass(35_000);
  second.over();
  await pass(20_000);
  expect(told.map(({ run: id, news: said }) => [id, said.waiting?.why])).toEqual([
    ['run', 'a'],
    ['other', 'b'],
    ['other', undefined],
  ]);
});

test('what could not be told is told later', async () => {
  broken = true;
  news.of(run).waits(clock.now(), 'no endpoint');
  await pass(MINUTE);
  broken = false;
  await pass(10_000);
  expect(told).toHaveLength(1);
});

test('a worker that stops says that nobody waits there any more', async () => {
  news.of(run).waits(clock.now(), 'no endpoint');
  await pass(35_000);
  await news.stop();
  await pass(10 * MINUTE);
  expect(told.map(({ news: said }) => said.waiting?.calls)).toEqual([1, undefined]);
});

test('a run adds up what its workers say, and forgets one that says nothing more', () => {
  const waits = new ModelWaits();
  expect(waits.all()).toBeUndefined();
  waits.heard({ worker: 'a', at: 100, waiting: { since: 50, calls: 2, why: 'down' } });
  waits.heard({ worker: 'b', at: 120, waiting: { since: 40, calls: 3, why: 'limits' } });
  expect(waits.all()).toEqual({ since: 40, calls: 5, why: 'limits', heardAt: 120 });
  // An older word that comes later changes nothing.
  waits.heard({ worker: 'b', at: 110 });
  waits.heard({ worker: 'b', at: 130 });
  expect(waits.all()).toEqual({ since: 50, calls: 2, why: 'down', heardAt: 100 });
  waits.heard({ worker: 'c', at: 100 + 11 * MINUTE, waiting: { since: 11 * MINUTE, calls: 1, why: 'c' } });
  expect(waits.all()).toMatchObject({ calls: 1, why: 'c' });
});
