import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  afterFailure,
  backoffMs,
  downSince,
  type Health,
  HEALTHY,
  probeAt,
  startProbe,
  withoutProbe,
} from '../../../../src/activities/llm/router/health.ts';

const fail = (health: Health, times: number, now = 0, probe = false): Health =>
  Array.from({ length: times }).reduce<Health>((at) => afterFailure(at, probe, now), health);

test('three failures in a row make an endpoint down, two do not', () => {
  expect(fail(HEALTHY, 2)).toEqual({ kind: 'up', failures: 2 });
  expect(fail(HEALTHY, 3, 70)).toEqual({ kind: 'down', since: 70, failedAt: 70, probes: 0 });
});

test('what is down is probed 30 s after its last failure; in an outage of all after 2 s, 4 s, up to 30 s', () => {
  let health = fail(HEALTHY, 3, 1_000);
  const due: [number, number][] = [];
  for (let i = 0; i < 6; i++) {
    if (health.kind === 'up') throw new Error('it came up by failing');
    due.push([probeAt(health, false) - health.failedAt, probeAt(health, true) - health.failedAt]);
    const now = probeAt(health, true);
    health = afterFailure(startProbe(health), true, now);
  }
  expect(due.map(([alone]) => alone)).toEqual(Array.from({ length: 6 }, () => 30_000));
  expect(due.map(([, outage]) => outage)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test('failures of calls that began before it went down put no probe off', () => {
  const down = fail(HEALTHY, 3, 1_000);
  expect(fail(down, 20, 9_000)).toEqual(down);
  expect(fail(startProbe(down), 20, 9_000)).toEqual(startProbe(down));
});

test('a probe that says nothing leaves the endpoint down and the next probe due', () => {
  const down = downSince(500);
  expect(withoutProbe(startProbe(down))).toEqual(down);
  expect(startProbe(HEALTHY)).toEqual(HEALTHY);
});

test('whatever happens, an endpoint that is not up has a time for its next probe, at most 30 s after a failure', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('fail' as const), probe: fc.boolean(), after: fc.nat(60_000) }),
    fc.record({ kind: fc.constant('probe' as const), after: fc.nat(60_000) }),
    fc.record({ kind: fc.constant('cancel' as const), after: fc.nat(60_000) }),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      let health: Health = HEALTHY;
      let now = 0;
      for (const each of events) {
        now += each.after;
        if (each.kind === 'fail') health = afterFailure(health, each.probe, now);
        else health = each.kind === 'probe' ? startProbe(health) : withoutProbe(health);
        if (health.kind === 'up') continue;
        expect(probeAt(health, true)).toBeLessThanOrEqual(probeAt(health, false));
        expect(probeAt(health, false)).toBeLessThanOrEqual(now + 30_000);
        expect(health.since).toBeLessThanOrEqual(health.failedAt);
      }
    }),
  );
});

test('the back-off never shrinks and never passes 30 s', () => {
  fc.assert(
    fc.property(fc.nat(10_000), (n) => {
      expect(backoffMs(n + 1)).toBeGreaterThanOrEqual(backoffMs(n));
      expect(backoffMs(n)).toBeLessThanOrEqual(30_000);
    }),
  );
});
