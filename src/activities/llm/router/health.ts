/**
 * Whether an endpoint is asked at all: a circuit breaker as a pure reducer, with the time as an argument.
 *
 * 1. Three failures in a row, of whichever calls, make it down. Any answer makes it up again.
 * 2. What is down is asked by one call at a time, the probe; the others go elsewhere or wait for it.
 * 3. The first probe comes 30 s after the last failure while another endpoint is up. In an outage of all it comes
 *    after 2 s, then 4 s, up to 30 s: shared by all calls, so that an outage is asked about, not hammered.
 */
export const UNHEALTHY_AFTER = 3;
const PROBE_AFTER_MS = 30_000;
const FIRST_BACKOFF_MS = 2_000;
const MAX_BACKOFF_MS = 30_000;

export type Health =
  | { readonly kind: 'up'; readonly failures: number }
  | { readonly kind: 'down'; readonly since: number; readonly failedAt: number; readonly probes: number }
  | { readonly kind: 'probing'; readonly since: number; readonly failedAt: number; readonly probes: number };

export const HEALTHY: Health = { kind: 'up', failures: 0 };

/** As found at start: nobody could reach it. */
export const downSince = (now: number): Health => ({ kind: 'down', since: now, failedAt: now, probes: 0 });

export function afterFailure(health: Health, wasProbe: boolean, now: number): Health {
  if (health.kind === 'up') {
    const failures = health.failures + 1;
    return failures < UNHEALTHY_AFTER ? { kind: 'up', failures } : downSince(now);
  }
  // The failure of a call that had begun before says nothing new, and does not put the next probe off.
  return wasProbe ? { kind: 'down', since: health.since, failedAt: now, probes: health.probes + 1 } : health;
}

export const startProbe = (health: Health): Health =>
  health.kind === 'down' ? { ...health, kind: 'probing' } : health;

/** The probe ended without a word about the endpoint (it was cancelled): the next one may start at once. */
export const withoutProbe = (health: Health): Health =>
  health.kind === 'probing' ? { ...health, kind: 'down' } : health;

/** When a probe may start, ms since the epoch. `outage`: nobody else could be asked instead. */
export function probeAt(health: Exclude<Health, { kind: 'up' }>, outage: boolean): number {
  return health.failedAt + (outage ? backoffMs(health.probes) : PROBE_AFTER_MS);
}

/** 2 s, 4 s, … 30 s. */
export const backoffMs = (failedBefore: number): number =>
  Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(failedBefore, 10), MAX_BACKOFF_MS);
