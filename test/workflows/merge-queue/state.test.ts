import { describe, expect, test } from 'vitest';
import type { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { MAX_BATCH, MergeQueueState } from '../../../src/workflows/merge-queue/state.ts';
import { mergeRequest, SHA } from '../../support/merge-requests.ts';

const entry = (id: string, priority = 5) => mergeRequest(id, { priority });
const fresh = () => new MergeQueueState({ repo: { location: '/x', key: '/x' }, target: 'main' });

describe('the merge queue', () => {
  test('takes what waits by priority, then age', () => {
    const queue = fresh();
    for (const [id, priority] of [
      ['a', 5],
      ['b', 1],
      ['c', 5],
      ['d', 1],
    ] as const)
      queue.add(entry(id, priority));
    expect(queue.takeBatch().map(({ id }) => id)).toEqual(['b', 'd', 'a', 'c']);
  });

  test('the same request twice is one entry, waiting or being landed', () => {
    const queue = fresh();
    queue.add(entry('a'));
    queue.add(entry('a'));
    expect(queue.takeBatch()).toHaveLength(1);
    queue.add(entry('a'));
    expect(queue.takeBatch()).toHaveLength(0);
  });

  test('of a request that comes again with another commit the last one is landed, in its old place', () => {
    const queue = fresh();
    const other = { ...entry('a'), commit: 'b'.repeat(40) };
    for (const each of [entry('a'), entry('b'), other]) queue.add(each);
    expect(queue.takeBatch()).toEqual([other, entry('b')]);
    // It is too late for what is being landed, which is the same change.
    queue.add(entry('a'));
    queue.decided([{ id: 'a', outcome: { kind: 'landed', commit: SHA } }]);
    expect(queue.takeAnswers().map(({ answer }) => answer.id)).toEqual(['a']);
    expect(queue.takeBatch()).toEqual([entry('b')]);
  });

  test('a requester that asks again after the decision is answered again, also after continue-as-new', () => {
    const queue = fresh();
    queue.add(entry('a'));
    queue.takeBatch();
    queue.decided([{ id: 'a', outcome: { kind: 'landed', commit: SHA } }]);
    expect(queue.takeAnswers()).toHaveLength(1);
    const next = new MergeQueueState({
      repo: { location: '/x', key: '/x' },
      target: 'main',
      state: JSON.parse(JSON.stringify(queue.toJSON())),
    });
    next.add(entry('a'));
    expect(next.takeBatch()).toHaveLength(0);
    expect(next.takeAnswers()).toEqual([
      { requester: entry('a').requester, answer: { id: 'a', outcome: { kind: 'landed', commit: SHA } } },
    ]);
  });

  test('an entry that the landing said nothing of waits again, before the others', () => {
    const queue = fresh();
    for (const id of ['a', 'b']) queue.add(entry(id));
    queue.takeBatch();
    queue.add(entry('c'));
    queue.decided([{ id: 'b', outcome: { kind: 'empty' } }]);
    expect(queue.takeAnswers().map(({ answer }) => answer.id)).toEqual(['b']);
    expect(queue.takeBatch().map(({ id }) => id)).toEqual(['a', 'c']);
  });

  test('its whole state survives being written as JSON at any step, with what is being landed', () => {
    const outcome = { kind: 'landed', commit: SHA } as const;
    let batch: MergeRequest[] = [];
    const steps: ((queue: MergeQueueState) => void)[] = [
      (queue) => ['a', 'b'].forEach((id) => queue.add(entry(id))),
      (queue) => (batch = queue.takeBatch()),
      (queue) => queue.add(entry('c')),
      (queue) => queue.decided(batch.map(({ id }) => ({ id, outcome }))),
      (queue) => queue.takeAnswers(),
    ];
    for (const cut of steps.keys()) {
      const before = fresh();
      for (const step of steps.slice(0, cut + 1)) step(before);
      const queue = new MergeQueueState({
        repo: { location: '/x', key: '/x' },
        target: 'main',
        state: JSON.parse(JSON.stringify(before.toJSON())),
      });
      // Whoever is not answered asks again; what was taken for landing is landed in this run.
      for (const id of ['a', 'b', 'c']) queue.add(entry(id));
      queue.decided(queue.takeBatch().map(({ id }) => ({ id, outcome })));
      const answered = queue.takeAnswers().map(({ answer }) => answer);
      expect(answered.map(({ id }) => id).sort(), `cut after step ${cut}`).toEqual(['a', 'b', 'c']);
      expect(queue.snapshot(), `cut after step ${cut}`).toMatchObject({ waiting: [], landed: 3 });
    }
  });

  test('what waits is carried on, in its order, without being asked for again', () => {
    const queue = fresh();
    for (const id of ['a', 'b']) queue.add(entry(id));
    queue.takeBatch();
    queue.add(entry('c'));
    const { waiting } = JSON.parse(JSON.stringify(queue.toJSON())) as { waiting: MergeRequest[] };
    expect(waiting).toEqual([entry('a'), entry('b'), entry('c')]);
  });

  test('every request is answered exactly once over batches that are bounded', () => {
    const queue = fresh();
    const ids = Array.from({ length: MAX_BATCH * 2 + 7 }, (_, i) => `t${i}`);
    for (const id of ids) queue.add(entry(id));
    const answered: string[] = [];
    while (queue.requests.length > 0 || queue.owesAnswers) {
      const batch = queue.takeBatch();
      expect(batch.length).toBeLessThanOrEqual(MAX_BATCH);
      queue.decided(batch.map(({ id }) => ({ id, outcome: { kind: 'landed', commit: SHA } })));
      answered.push(...queue.takeAnswers().map(({ answer }) => answer.id));
    }
    expect(answered.sort()).toEqual(ids.sort());
    expect(queue.snapshot().landed).toBe(ids.length);
  });

  test('requests with long texts come in batches that fit into one message, in order, and one alone always comes', () => {
    const queue = fresh();
    const long = (id: string, chars: number) => ({ ...entry(id), body: '\u8a9e'.repeat(chars) });
    for (const id of ['a', 'b', 'c']) queue.add(long(id, 200_000));
    queue.add(long('d', 1_000_000));
    const batches: string[][] = [];
    while (queue.requests.length > 0 || queue.owesAnswers) {
      const batch = queue.takeBatch();
      if (batch.length > 1) expect(Buffer.byteLength(JSON.stringify(batch))).toBeLessThan(2 * 1024 * 1024);
      batches.push(batch.map(({ id }) => id));
      queue.decided(batch.map(({ id }) => ({ id, outcome: { kind: 'empty' } })));
      queue.takeAnswers();
    }
    expect(batches).toEqual([['a', 'b'], ['c'], ['d']]);
  });
});
