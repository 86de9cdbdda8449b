/** How a branch stands, for its gate: frozen by a sweep, made better by a part, moved by others. */
import { expect, test } from 'vitest';
import type { MergeQueueInput, MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { GateKeeper } from '../../../src/workflows/merge-queue/gate-driver.ts';
import { MergeQueueState } from '../../../src/workflows/merge-queue/state.ts';
import { ModelRemote } from '../../support/merge-model.ts';
import { mergeRequest } from '../../support/merge-requests.ts';

const requestOf = (id: string, fix: boolean) =>
  mergeRequest(id, { fix, gate: { mode: 'batch', slots: 1, checks: [], setup: null } });

/** A gate over a remote where nothing goes wrong by itself. */
function gated(errors?: (content: readonly string[]) => readonly string[]) {
  return over(modelOf(errors), { repo: { location: '/x', key: '/x' }, target: 'main' });
}

const modelOf = (errors?: (content: readonly string[]) => readonly string[]): ModelRemote =>
  new ModelRemote({
    bad: new Set(),
    keys: new Map(),
    ...(errors === undefined ? {} : { errors }),
    dies: () => false,
    flakes: () => false,
    cannotRun: () => false,
    pass: (_, value) => Promise.resolve(value),
  });

function over(remote: ModelRemote, input: MergeQueueInput) {
  const queue = new MergeQueueState(input);
  const keeper = new GateKeeper({ input, queue, effects: remote.effects(), onNews: () => undefined });
  /** These come, and all happens that follows. @returns the answers that were given. */
  const settle = async (...requests: MergeRequest[]): Promise<string[]> => {
    for (const request of requests) queue.add(request);
    for (let i = 0; i < 30; i++) {
      keeper.step();
      await new Promise(setImmediate);
    }
    return queue.takeAnswers().map(({ answer }) => `${answer.id} ${answer.outcome.kind}`);
  };
  /** The queue continues as new. */
  const continued = () => {
    const state = { ...queue.toJSON(), gate: keeper.findings() };
    return over(remote, JSON.parse(JSON.stringify({ ...input, state })) as MergeQueueInput);
  };
  return { remote, queue, keeper, settle, continued };
}

test('what a sweep has frozen takes nothing but fixes, though the gate sees it pass', async () => {
  const { remote, keeper, settle } = gated();
  expect(await settle(requestOf('r0', false))).toEqual(['r0 landed']);
  keeper.hear({ kind: 'red', commit: remote.tip, reason: 'a check that only sweeps run' }, 0);
  expect(await settle(requestOf('r1', false))).toEqual([]);
  expect(remote.content).toEqual(['r0']);
  keeper.hear({ kind: 'green', commit: remote.tip }, 0);
  expect(await settle()).toEqual(['r1 landed']);
});

test('after a fix of a part it still fails by itself, so nobody else is blamed', async () => {
  const mends: Record<string, string> = { r0: 'error a', r1: 'error b' };
  const { remote, keeper, settle } = gated((content) =>
    ['error a', 'error b'].filter((error) => !content.some((id) => mends[id] === error)),
  );
  expect(await settle(requestOf('r2', false))).toEqual([]);
  expect(keeper.isRed).toBe(true);
  expect(await settle(requestOf('r0', true))).toEqual(['r0 landed']);
  expect(await settle(requestOf('r1', true))).toEqual(['r1 landed', 'r2 landed']);
  expect(remote.content).toEqual(['r0', 'r1', 'r2']);
});

test('what it fails with is found out anew after the queue has continued as new, so that a fix of a part still lands', async () => {
  const before = gated((content) => ['error a', 'error b'].filter((error) => !content.includes(`mends ${error}`)));
  expect(await before.settle(requestOf('r0', false))).toEqual([]);
  expect(before.keeper.isRed).toBe(true);
  const { settle } = before.continued();
  expect(await settle(requestOf('mends error a', true))).toEqual(['mends error a landed']);
  expect(await settle(requestOf('mends error b', true))).toEqual(['mends error b landed', 'r0 landed']);
});

test('a sweep of a commit that is not the tip any more freezes nothing where the gate has seen the tip pass', async () => {
  const { remote, queue, keeper, settle } = gated();
  const before = remote.tip;
  await settle(requestOf('r0', false));
  keeper.hear({ kind: 'red', commit: before, reason: 'tests' }, 0);
  expect(queue.frozen).toEqual([]);
  expect(await settle(requestOf('r1', false))).toEqual(['r1 landed']);
});
