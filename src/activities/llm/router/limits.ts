/** What an endpoint may be asked at once and in a minute, as pure reducers with the time as an argument. */

/** A token bucket: it holds a minute's worth and is refilled all the time, as the providers' own are. */
export type Bucket = { readonly perMinute: number; readonly level: number; readonly at: number };

export const fullBucket = (perMinute: number, now: number): Bucket => ({ perMinute, level: perMinute, at: now });

const MINUTE_MS = 60_000;

export function levelAt({ perMinute, level, at }: Bucket, now: number): number {
  return Math.min(perMinute, level + (Math.max(0, now - at) * perMinute) / MINUTE_MS);
}

/** May go below zero, when more was used than was thought: later calls wait until that is made good. */
export const take = (bucket: Bucket, amount: number, now: number): Bucket => ({
  perMinute: bucket.perMinute,
  level: Math.min(bucket.perMinute, levelAt(bucket, now) - amount),
  at: now,
});

/** When so much is there, ms since the epoch; what the bucket can never hold is had when it is full. */
export function availableAt(bucket: Bucket, amount: number, now: number): number {
  const missing = Math.min(amount, bucket.perMinute) - levelAt(bucket, now);
  return missing <= 0 ? now : now + Math.ceil((missing * MINUTE_MS) / bucket.perMinute);
}

/** An endpoint said "not now" (429, 529): nobody asks before `until`. `inARow` counts since the last answer. */
export type Throttle = { readonly until: number; readonly inARow: number };
export const UNTHROTTLED: Throttle = { until: 0, inARow: 0 };

const FIRST_THROTTLE_MS = 1_000;
const MAX_THROTTLE_MS = 30_000;
/** A provider that says "at once" again and again is not taken at its word more often than this. */
const TRUSTED_RETRY_AFTERS = 3;
const MIN_RETRY_AFTER_MS = 250;

/** How long to wait after the `inARow`-th "not now" in a row (from 0): Retry-After, else 1 s, 2 s, … 30 s. */
export function throttleMs(inARow: number, retryAfterMs: number | undefined): number {
  const backoff = Math.min(FIRST_THROTTLE_MS * 2 ** Math.min(inARow, 10), MAX_THROTTLE_MS);
  if (retryAfterMs === undefined) return backoff;
  const asked = Math.max(retryAfterMs, MIN_RETRY_AFTER_MS);
  return inARow < TRUSTED_RETRY_AFTERS ? asked : Math.max(asked, backoff);
}

/**
 * Calls at once that an endpoint bears, found by additive increase and multiplicative decrease (Chiu and Jain 1989,
 * as in TCP): unlimited until it first says "not now". It keeps a hundred agents that all wait for the same
 * Retry-After from coming back at once.
 */
export const UNLIMITED = Number.POSITIVE_INFINITY;
export const shrunk = (inFlight: number): number => Math.max(1, Math.floor(inFlight / 2));
/** A tenth more for each window of answers: from 10 to 100 calls at once within some 25 rounds. */
export const grown = (window: number): number => window + Math.max(1 / window, 0.1);
