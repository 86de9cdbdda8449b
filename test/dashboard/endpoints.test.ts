import { expect, test } from 'vitest';
import { endpointLines, waitingLine } from '../../src/dashboard/endpoints.ts';
import type { EndpointStatus, WorkerEndpoints } from '../../src/shared/contracts/endpoint-status.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const none = { requests: 0, answered: 0, failed: 0, throttled: 0 };
const endpoint = (changes: Partial<EndpointStatus>): EndpointStatus => ({
  name: 'main',
  provider: 'openai',
  models: [{ name: 'm', standing: 'new' }],
  health: 'up',
  failuresInARow: 0,
  inFlight: 0,
  totals: { ...none, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costUsd: 0 },
  ...changes,
});
const worker = (endpoints: EndpointStatus[], waiting: WorkerEndpoints['waiting'] = { calls: 0 }): WorkerEndpoints => ({
  version: 1,
  pid: 7,
  startedAt: NOW - 60_000,
  at: NOW,
  endpoints,
  waiting,
});
const headOf = (changes: Partial<EndpointStatus>): string | undefined =>
  endpointLines(worker([endpoint(changes)]), NOW).find((line) => line.startsWith('main'));

test.each<[Partial<EndpointStatus>, string]>([
  [{}, 'up'],
  [{ failuresInARow: 2 }, 'up, its last 2 calls failed'],
  [{ health: 'down', downSince: NOW - 5_000, nextTryAt: NOW + 2_000 }, 'DOWN for 5.0 s, next try in 2.0 s'],
  [{ health: 'probing', downSince: NOW - 5_000 }, 'DOWN for 5.0 s, one call is trying it now'],
  [{ health: 'throttled', nextTryAt: NOW + 90_000 }, 'asks for time, next try in 1 min 30 s'],
])('health %j reads "%s"', (changes, words) => {
  expect(headOf(changes)).toBe(`main (openai)  ${words}`);
});

test('how fast a model is, and that it gets no new conversations, is beside its name', () => {
  const models: EndpointStatus['models'] = [
    { name: 'large', standing: 'slow', firstTokenMs: 2_500, tokensPerSecond: 41.25 },
    { name: 'small', standing: 'refused' },
  ];
  const lines = endpointLines(worker([endpoint({ models })]), NOW).filter((line) => line.includes('model '));
  expect(lines).toEqual([
    '  model    large, first token after 2.5 s, then 41.3 tokens/s, slow: no new conversations',
    '  model    small, REFUSED',
  ]);
});

test('calls that wait in an outage are said with its beginning and the newest failure', () => {
  const down = (at: number, message: string) => endpoint({ health: 'down', lastFailure: { at, message } });
  const all = [down(NOW - 9_000, 'older'), down(NOW - 2_000, 'connect ECONNREFUSED')];
  const waiting = { calls: 12, since: NOW - 3_600_000 };
  const words = '12 calls are waiting for a model since 2026-01-01T11:00:00.000Z (1 h 00 min): connect ECONNREFUSED';
  expect(waitingLine(worker(all, waiting), NOW)).toBe(words);
  expect(endpointLines(worker(all, waiting), NOW)[1]).toBe(words);
  expect(waitingLine(worker([endpoint({})], { calls: 1, since: NOW }), NOW)).toMatch(/^1 call is .*limits/);
  expect(waitingLine(worker(all), NOW)).toBeNull();
});
