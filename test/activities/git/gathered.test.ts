import { describe, expect, it } from 'vitest';
import { gathered } from '../../../src/activities/git/gathered.ts';

/** A server that is asked by hand. */
function server() {
  const asked: { items: readonly string[]; end: (error?: Error) => void }[] = [];
  const ask = (items: readonly string[]) =>
    new Promise<void>((resolve, reject) =>
      asked.push({ items, end: (error) => (error === undefined ? resolve() : reject(error)) }),
    );
  const request = gathered(ask, { alone: (item: string) => ask([item]), most: 3 });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { asked, request, settle };
}

describe('gathered requests', () => {
  it('that come while one is served are served together, as many as may be', async () => {
    const { asked, request, settle } = server();
    const first = request('a');
    await settle();
    const all = [first, ...['b', 'c', 'd', 'e'].map(request)];
    await settle();
    expect(asked.map(({ items }) => items)).toEqual([['a']]);
    asked[0]?.end();
    await settle();
    asked[1]?.end();
    await settle();
    asked[2]?.end();
    await Promise.all(all);
    expect(asked.map(({ items }) => items)).toEqual([['a'], ['b', 'c', 'd'], ['e']]);
  });

  it('each get their own error when they fail together', async () => {
    const { asked, request, settle } = server();
    const results = Promise.allSettled(['a', 'b', 'c'].map(request));
    await settle();
    asked[0]?.end(new Error('some of them'));
    await settle();
    asked[1]?.end(new Error('no a'));
    await settle();
    asked[2]?.end();
    await settle();
    asked[3]?.end(new Error('no c'));
    expect((await results).map((each) => (each.status === 'rejected' ? String(each.reason) : 'done'))).toEqual([
      'Error: no a',
      'done',
      'Error: no c',
    ]);
    expect(asked.map(({ items }) => items)).toEqual([['a', 'b', 'c'], ['a'], ['b'], ['c']]);
  });

  it('that come in the same moment go together, and share what is given and what is said where none goes alone', async () => {
    let times = 0;
    const request = gathered<string, number>(async (items) => {
      times += 1;
      await new Promise((resolve) => setImmediate(resolve));
      if (items.includes('bad')) throw new Error(`time ${times}`);
      return times;
    });
    expect(await Promise.all(['a', 'b', 'c'].map(request))).toEqual([1, 1, 1]);
    const failed = await Promise.allSettled(['a', 'bad'].map(request));
    expect(failed.map((each) => (each.status === 'rejected' ? String(each.reason) : 'done'))).toEqual([
      'Error: time 2',
      'Error: time 2',
    ]);
    expect(times).toBe(2);
  });

  it('are served at once when nothing is under way, also after an error', async () => {
    const { asked, request, settle } = server();
    const first = request('a');
    await settle();
    asked[0]?.end(new Error('no'));
    await expect(first).rejects.toThrow('no');
    void request('b');
    await settle();
    expect(asked[1]?.items).toEqual(['b']);
  });
});
