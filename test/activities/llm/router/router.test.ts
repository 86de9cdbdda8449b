import { expect, test } from 'vitest';
import type { Endpoint } from '../../../../src/activities/llm/endpoints.ts';
import { ProviderFailure } from '../../../../src/activities/llm/failures.ts';
import {
  type EndpointSlot,
  type RouteRequest,
  Router,
  type Turn,
} from '../../../../src/activities/llm/router/router.ts';
import type { Role } from '../../../../src/shared/contracts/agent.ts';
import { endpointTo, ManualClock } from '../support.ts';

const at = { openaiUrl: 'http://h/v1', anthropicUrl: 'http://h' };
const endpoint = (name: string, changes: Partial<Endpoint> = {}) => endpointTo(at, 'openai', { name, ...changes });
const tokens = { inputTokens: 10, cachedInputTokens: 4, cacheWriteInputTokens: 0, outputTokens: 100 };
const answered = { kind: 'answered', firstTokenMs: 1, tokens, countedTokens: 110, costUsd: 0.5 } as const;
const down = { kind: 'failed', failure: new ProviderFailure('unavailable', 'it is down') } as const;

function setUp(endpoints: Endpoint[], unreachable?: ReadonlySet<string>) {
  const clock = new ManualClock();
  const router = new Router({
    endpoints,
    clock,
    random: () => 0,
    ...(unreachable === undefined ? {} : { unreachable }),
  });
  const served: string[] = [];
  const turns = new Map<string, Turn>();
  const place = (changes: Partial<RouteRequest>): RouteRequest => ({
    role: 'worker',
    conversation: 'c',
    refused: new Set(),
    notBefore: new Map(),
    estimatedTokens: 0,
    since: clock.now(),
    signal: new AbortController().signal,
    patienceMs: 3_600_000,
    ...changes,
  });
  return {
    router,
    clock,
    served,
    /** In the queue, or served, when it resolves. */
    async ask(name: string, role: Role = 'worker', changes: Partial<RouteRequest> = {}): Promise<void> {
      void router.acquire(place({ role, conversation: name, ...changes })).then(
        (turn) => {
          served.push(name);
          turns.set(name, turn);
        },
        (error: unknown) => served.push(`${name}: ${String(error)}`),
      );
      await settled();
    },
    lease(name: string): EndpointSlot {
      const turn = turns.get(name);
      if (turn?.kind !== 'lease') throw new Error(`${name} has no lease but ${String(turn?.kind)}`);
      return turn.lease;
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a limit of calls at once lets planners in before workers, and workers in the order in which they came', async () => {
  const { ask, lease, served, clock } = setUp([endpoint('a', { limits: { concurrency: 1 } })]);
  await ask('first');
  for (const name of ['second', 'third']) {
    clock.advance(1);
    await ask(name);
  }
  await ask('planner', 'planner');
  for (const name of ['first', 'planner', 'second', 'third']) {
    lease(name).end(answered);
    await settled();
  }
  expect(served).toEqual(['first', 'planner', 'second', 'third']);
});

test('a limit of requests a minute is waited for, not failed', async () => {
  const { ask, lease, served, clock } = setUp([endpoint('a', { limits: { requestsPerMinute: 2 } })]);
  for (const name of ['one', 'two', 'three', 'four']) await ask(name);
  expect(served).toEqual(['one', 'two']);
  lease('one').end(answered);
  clock.advance(29_999);
  await settled();
  expect(served).toHaveLength(2);
  clock.advance(1);
  await settled();
  expect(served).toEqual(['one', 'two', 'three']);
  clock.advance(30_000);
  await settled();
  expect(served).toHaveLength(4);
});

test('a call for many tokens is not starved by later ones for few', async () => {
  const { ask, lease, served, clock } = setUp([endpoint('a', { limits: { tokensPerMinute: 1_000 } })]);
  await ask('first', 'worker', { estimatedTokens: 900 });
  clock.advance(1);
  await ask('large', 'worker', { estimatedTokens: 800 });
  clock.advance(1);
  await ask('small', 'worker', { estimatedTokens: 50 });
  expect(served).toEqual(['first']);
  lease('first').end({ ...answered, countedTokens: 900 });
  clock.advance(60_000);
  await settled();
  expect(served).toEqual(['first', 'large', 'small']);
});

test('in an outage one call asks and the others wait; its first answer lets all of them go', async () => {
  const { ask, lease, served, clock } = setUp([endpoint('a')]);
  for (const name of ['x', 'y', 'z']) await ask(name);
  for (const name of ['x', 'y', 'z']) lease(name).end(down);
  for (const name of ['p', 'q', 'r']) await ask(name);
  expect(served).toHaveLength(3);
  clock.advance(2_000);
  await settled();
  expect(served).toEqual(['x', 'y', 'z', 'p']);
  lease('p').end(down);
  clock.advance(3_999);
  await settled();
  expect(served).toHaveLength(4);
  clock.advance(1);
  await settled();
  expect(served.at(-1)).toBe('q');
  lease('q').end(answered);
  await settled();
  expect(served).toEqual(['x', 'y', 'z', 'p', 'q', 'r']);
});

test('a probe that is cancelled leaves the next one to whoever waits', async () => {
  const { ask, lease, served, clock } = setUp([endpoint('a')], new Set(['a']));
  await ask('p');
  await ask('q');
  clock.advance(2_000);
  await settled();
  expect(served).toEqual(['p']);
  lease('p').end({ kind: 'cancelled' });
  await settled();
  expect(served).toEqual(['p', 'q']);
});

test('an endpoint that could not be reached at start is not asked while another one is there', async () => {
  const { ask, lease, clock } = setUp([endpoint('a'), endpoint('b')], new Set(['a']));
  await ask('one');
  expect(lease('one').endpoint.name).toBe('b');
  clock.advance(30_000);
  await ask('two');
  expect(lease('two').endpoint.name).toBe('a');
});

test('whoever waits can leave: cancelled with the reason, out of patience with `again`', async () => {
  const { ask, served, clock, router } = setUp([endpoint('a', { limits: { concurrency: 1 } })]);
  await ask('first');
  const controller = new AbortController();
  await ask('cancelled', 'worker', { signal: controller.signal });
  await ask('impatient', 'worker', { patienceMs: 10_000 });
  expect(router.look().waiting).toEqual({ calls: 2, since: clock.now() });
  controller.abort(new Error('no longer wanted'));
  clock.advance(10_000);
  await settled();
  expect(served).toEqual(['first', 'cancelled: Error: no longer wanted', 'impatient']);
  expect(router.look().waiting).toEqual({ calls: 0, since: undefined });
});

test('what waits is told why and until when', async () => {
  const { ask, clock } = setUp([endpoint('a')], new Set(['a']));
  const told: string[] = [];
  await ask('p', 'worker', {
    onWaiting: ({ why, since, until }) => told.push(`${why} ${since - clock.now()} ${until - clock.now()}`),
  });
  expect(told).toEqual(['outage 0 2000']);
});
