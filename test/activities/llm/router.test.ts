import { expect, test } from 'vitest';
import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import { ProviderFailure } from '../../../src/activities/llm/failures.ts';
import { Router } from '../../../src/activities/llm/router.ts';
import { endpointTo } from './support.ts';

const at = { openaiUrl: 'http://h/v1', anthropicUrl: 'http://h' };
const endpoint = (name: string, changes: Partial<Endpoint> = {}) => endpointTo(at, 'openai', { name, ...changes });
const down = (retryAfterMs?: number) => new ProviderFailure('unavailable', 'down', { retryAfterMs });
const none = new Set<Endpoint>();
const names = (router: Router, now: number, conversation = 'c', without = none) =>
  router.choose('worker', conversation, without, now).ready.map((candidate) => candidate.endpoint.name);

test('the fewest failures in a row come first, then the greatest weight, then the order of the list', () => {
  const [a, b, c] = [endpoint('a'), endpoint('b'), endpoint('c', { weight: 2 })] as const;
  const router = new Router([a, b, c]);
  expect(names(router, 0)).toEqual(['c', 'a', 'b']);
  router.failed(c, down(), 0);
  router.failed(a, down(), 0);
  expect(names(router, 0)).toEqual(['b', 'c', 'a']);
  router.succeeded(c, 'another conversation');
  expect(names(router, 0)).toEqual(['c', 'b', 'a']);
});

test('a conversation stays where it is until that endpoint has failed three times in a row', () => {
  const [a, b] = [endpoint('a'), endpoint('b')] as const;
  const router = new Router([a, b]);
  router.succeeded(b, 'c');
  expect([names(router, 0), names(router, 0, 'd')]).toEqual([
    ['b', 'a'],
    ['a', 'b'],
  ]);
  router.failed(b, down(), 0);
  router.failed(b, down(), 0);
  expect(names(router, 0)).toEqual(['b', 'a']);
  router.failed(b, down(), 0);
  expect(names(router, 0)).toEqual(['a']);
  expect(names(router, 30_000)).toEqual(['a', 'b']);
});

test('when all rest, all are asked all the same: the back-off waits, not the rest', () => {
  const [a, b] = [endpoint('a'), endpoint('b')] as const;
  const router = new Router([a, b]);
  for (let i = 0; i < 3; i++) router.failed(a, down(), 0);
  for (let i = 0; i < 4; i++) router.failed(b, down(), 0);
  expect(names(router, 1)).toEqual(['a', 'b']);
});

test('nobody is asked before the time of its Retry-After, and the first of these times is told', () => {
  const [a, b] = [endpoint('a'), endpoint('b')] as const;
  const router = new Router([a, b]);
  router.failed(a, down(5_000), 0);
  expect(names(router, 4_999)).toEqual(['b']);
  router.failed(b, down(9_000), 0);
  expect(router.choose('worker', 'c', none, 4_999)).toEqual({ ready: [], notBefore: 5_000 });
  expect(names(router, 5_000)).toEqual(['a']);
});

test('a request that is wrong in itself does not make an endpoint unhealthy, a wrong key does', () => {
  const [a, b] = [endpoint('a'), endpoint('b')] as const;
  const router = new Router([a, b]);
  router.failed(a, new ProviderFailure('refused', 'too long', { status: 400 }), 0);
  expect(names(router, 0)).toEqual(['a', 'b']);
  router.failed(a, new ProviderFailure('refused', 'bad key', { status: 401 }), 0);
  expect(names(router, 0)).toEqual(['b', 'a']);
});

test('endpoints without a model for the role, and those that have refused, are left out', () => {
  const [a, b] = [endpoint('a', { models: { planner: 'p' } }), endpoint('b')] as const;
  const router = new Router([a, b]);
  expect(names(router, 0)).toEqual(['b']);
  expect(router.choose('worker', 'c', new Set([b]), 0)).toEqual({ ready: [], notBefore: undefined });
});
