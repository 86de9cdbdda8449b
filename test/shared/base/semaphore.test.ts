import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExclusive, Semaphore } from '../../../src/shared/base/semaphore.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('a semaphore', () => {
  it('lets in as many as it has places, in the order of asking, whatever comes, goes and gives up', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.oneof(fc.constant('ask'), fc.constant('leave'), fc.constant('abort'), fc.constant('anyway')), {
          maxLength: 40,
        }),
        async (limit, steps) => {
          const semaphore = new Semaphore(limit);
          const inside: (() => void)[] = [];
          const entered: number[] = [];
          const waiting: { n: number; stop: AbortController }[] = [];
          const expected: number[] = [];
          let taken = 0;
          let asked = 0;
          const enterModel = () => {
            while (taken < limit && waiting.length > 0) {
              taken += 1;
              expected.push(waiting.shift()?.n ?? -1);
            }
          };
          for (const step of steps) {
            if (step === 'ask') {
              const n = asked++;
              const stop = new AbortController();
              waiting.push({ n, stop });
              semaphore.take(stop.signal).then(
                (giveBack) => {
                  entered.push(n);
                  inside.push(giveBack);
                },
                () => undefined,
              );
            } else if (step === 'anyway') {
              inside.push(semaphore.takeAnyway());
              taken += 1;
            } else if (step === 'abort') waiting.splice(0, 1)[0]?.stop.abort(new Error('gone'));
            else {
              const giveBack = inside.shift();
              giveBack?.();
              giveBack?.();
              if (giveBack !== undefined) taken -= 1;
            }
            enterModel();
            await settle();
            expect(semaphore.taken).toBe(taken);
            expect(entered).toEqual(expected);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('rejects with the reason of the signal, before and while it waits, and gives that turn to the next', async () => {
    const semaphore = new Semaphore(1);
    const giveBack = await semaphore.take();
    await expect(semaphore.take(AbortSignal.abort(new Error('never wanted')))).rejects.toThrow('never wanted');
    const stop = new AbortController();
    const second = semaphore.take(stop.signal);
    const third = semaphore.take();
    stop.abort(new Error('no longer wanted'));
    await expect(second).rejects.toThrow('no longer wanted');
    giveBack();
    (await third)();
    expect(semaphore.taken).toBe(0);
  });

  it('gives the place back after a body that failed', async () => {
    const semaphore = new Semaphore(1);
    await expect(semaphore.run(() => Promise.reject(new Error('bad')))).rejects.toThrow('bad');
    expect(await semaphore.run(async () => semaphore.taken)).toBe(1);
    expect(semaphore.taken).toBe(0);
  });
});

it('what is exclusive runs one at a time for each key, in the order of asking, also after a failure', async () => {
  const exclusive = createExclusive();
  const events: string[] = [];
  const work = (key: string, name: string) =>
    exclusive(key, async () => {
      events.push(`${name} begins`);
      await settle();
      events.push(`${name} ends`);
      if (name === 'a1') throw new Error('bad');
    }).catch(() => undefined);
  await Promise.all([work('a', 'a1'), work('a', 'a2'), work('b', 'b1'), work('a', 'a3')]);
  const of = (key: string) => events.filter((event) => event.startsWith(key));
  expect(of('a')).toEqual(['a1 begins', 'a1 ends', 'a2 begins', 'a2 ends', 'a3 begins', 'a3 ends']);
  expect(events.indexOf('b1 begins')).toBeLessThan(events.indexOf('a1 ends'));
});
