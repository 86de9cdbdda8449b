/** "Paid once" on a real server, with workers that are processes of their own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { temporal } from '../../support/temporal.ts';
import { ended, keysOf, outageOfServer, startPondering, Thinkers, until } from './thinkers.ts';

let thinkers: Thinkers;
beforeAll(async () => {
  thinkers = await Thinkers.open();
});
afterAll(() => thinkers.close());

// Most of it is waiting: for heartbeats to time out, for a server to be down.
describe.concurrent('paid once', { timeout: 120_000 }, () => {
  test('a worker that is killed after an answer was journalled, and before it was reported, has paid once', async () => {
    const llm = await thinkers.serve(() => ({ text: 'paid for' }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await thinkers.startWorker({ llm, address, taskQueue, journal: 'kill', dies: true });
    const handle = await startPondering(await client(), taskQueue);
    expect(await ended(first.child)).toBe('SIGKILL');
    const second = await thinkers.startWorker({ llm, address, taskQueue, journal: 'kill' });
    expect(await handle.result()).toEqual(['paid for']);
    expect(second.said).toContain('LLM answer taken from the journal: not asked again');
    expect(keysOf(llm)).toEqual([expect.stringMatching(new RegExp(`^${handle.workflowId}/.+/1$`))]);
  });

  test('without the journal the same kill is paid for twice: that is what the journal is for', async () => {
    const llm = await thinkers.serve(() => ({ text: 'paid for' }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await thinkers.startWorker({ llm, address, taskQueue, journal: 'lost-1', dies: true });
    const handle = await startPondering(await client(), taskQueue);
    await ended(first.child);
    await thinkers.startWorker({ llm, address, taskQueue, journal: 'lost-2' });
    expect(await handle.result()).toEqual(['paid for']);
    expect(new Set(keysOf(llm)).size).toBe(1);
    expect(keysOf(llm)).toHaveLength(2);
  });

  test('a conversation of several turns sends each message once more than before, all of them from history', async () => {
    const llm = await thinkers.serve(() => ({ text: `answer ${llm.requests.length}` }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    await thinkers.startWorker({ llm, address, taskQueue, journal: 'turns' });
    const handle = await startPondering(await client(), taskQueue, 4);
    expect(await handle.result()).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4']);
    const texts = llm.requests.map(({ body }) => (body['messages'] as { content: string }[]).map((m) => m.content));
    expect(texts.map((list) => list.length)).toEqual([2, 4, 6, 8]);
    expect(texts[3]).toEqual([...(texts[2] ?? []), 'answer 3', 'Go on after 3.']);
  });

  test('a worker that is asked to stop finishes the call that is on the wire and reports it', async () => {
    const llm = await thinkers.serve(() => ({ text: 'finished', delayMs: 3_000 }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await thinkers.startWorker({ llm, address, taskQueue, journal: 'stop-1' });
    const handle = await startPondering(await client(), taskQueue);
    await until(() => expect(llm.requests.length).toBe(1));
    expect(await ended(first.child, 'SIGTERM')).toBe(0);
    await thinkers.startWorker({ llm, address, taskQueue, journal: 'stop-2' });
    expect(await handle.result()).toEqual(['finished']);
    expect(llm.requests.map((request) => request.outcome)).toEqual(['answered']);
  });

  test('a cancellation that a workflow asks for closes the request, and the workflow goes on at once', async () => {
    const llm = await thinkers.serve(() => ({ text: 'never', delayMs: 60_000 }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    await thinkers.startWorker({ llm, address, taskQueue, journal: 'cancel' });
    const handle = await startPondering(await client(), taskQueue);
    await until(() => expect(llm.requests.length).toBe(1));
    await handle.signal('stop');
    expect(await handle.result()).toEqual(['cancelled']);
    await until(() => expect(llm.requests[0]?.outcome).toBe('client-closed'));
    expect(llm.requests).toHaveLength(1);
  });

  test('a worker that is killed in mid-stream has given out nothing: the turn is asked again, with the same key', async () => {
    const llm = await thinkers.serve(() => ({
      text: `answer ${llm.requests.length}, word by word by word`,
      chunkDelayMs: llm.requests.length === 1 ? 1_000 : 0,
    }));
    const { address, client, uniqueQueue } = await temporal();
    const taskQueue = uniqueQueue();
    const first = await thinkers.startWorker({ llm, address, taskQueue, journal: 'mid-stream' });
    const handle = await startPondering(await client(), taskQueue, 2);
    await until(() => expect(llm.requests.length).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await ended(first.child, 'SIGKILL');
    await thinkers.startWorker({ llm, address, taskQueue, journal: 'mid-stream' });
    expect(await handle.result()).toEqual(['answer 2, word by word by word', 'answer 3, word by word by word']);
    await until(() => expect(llm.requests[0]?.outcome).toBe('client-closed'));
    expect(llm.requests.map(({ outcome }) => outcome)).toEqual(['client-closed', 'answered', 'answered']);
    const [cut, again, next] = keysOf(llm);
    expect([cut === again, next === again]).toEqual([true, false]);
  });

  test('a server that is down for 20 s while calls run and end costs no second call', async () => {
    const llm = await outageOfServer(thinkers, 20_000);
    expect(keysOf(llm)).toHaveLength(12);
    expect(new Set(keysOf(llm)).size).toBe(12);
  });
});
