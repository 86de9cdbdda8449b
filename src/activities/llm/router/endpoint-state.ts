/** All that is known of one endpoint, and how a call's beginning and end change it. Pure: the time is an argument. */
import type { TokenCount } from '../../../shared/agent/usage.ts';
import type { Endpoint } from '../endpoints.ts';
import type { ProviderFailure } from '../failures.ts';
import { afterFailure, downSince, type Health, HEALTHY, startProbe, withoutProbe } from './health.ts';
import { type Latency, observe, penalise } from './latency.ts';
import {
  type Bucket,
  fullBucket,
  grown,
  shrunk,
  take,
  type Throttle,
  throttleMs,
  UNLIMITED,
  UNTHROTTLED,
} from './limits.ts';

/** An endpoint that refuses its key, its bill or a model is not asked for that model for so long, by anyone. */
const REFUSAL_REST_MS = 10_000;
const RATIO_WEIGHT_OF_NEWEST = 0.2;

export type Totals = {
  readonly requests: number;
  readonly answered: number;
  readonly failed: number;
  readonly throttled: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly costUsd: number;
};

export type EndpointState = {
  readonly health: Health;
  readonly throttle: Throttle;
  /** Calls at once that it bears, as far as it has said. */
  readonly window: number;
  readonly inFlight: number;
  readonly requests: Bucket | undefined;
  readonly tokens: Bucket | undefined;
  /** Tokens that count for its limit by tokens that were estimated before the call. */
  readonly tokenRatio: number;
  readonly latency: Readonly<Record<string, Latency>>;
  /** By model: it said no to the key or the model, in these words. */
  readonly refusing: Readonly<Record<string, { readonly until: number; readonly words: string }>>;
  /** When it was asked last. */
  readonly askedAt: number;
  readonly lastFailure: { readonly at: number; readonly message: string } | undefined;
  readonly totals: Totals;
};

const NO_TOTALS: Totals = {
  requests: 0,
  answered: 0,
  failed: 0,
  throttled: 0,
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  costUsd: 0,
};

export function initialState({ limits }: Endpoint, reachable: boolean, now: number): EndpointState {
  const bucket = (perMinute: number | undefined) => (perMinute === undefined ? undefined : fullBucket(perMinute, now));
  return {
    health: reachable ? HEALTHY : downSince(now),
    throttle: UNTHROTTLED,
    window: UNLIMITED,
    inFlight: 0,
    requests: bucket(limits.requestsPerMinute),
    tokens: bucket(limits.tokensPerMinute),
    tokenRatio: 1,
    latency: {},
    refusing: {},
    askedAt: Number.NEGATIVE_INFINITY,
    lastFailure: undefined,
    totals: NO_TOTALS,
  };
}

/** A call that was let through. */
export type Begun = {
  readonly model: string;
  readonly probe: boolean;
  readonly estimatedTokens: number;
  /** Taken out of the bucket in advance. */
  readonly reserved: number;
  readonly at: number;
};

export const reservation = (state: EndpointState, estimatedTokens: number): number =>
  state.tokens === undefined ? 0 : Math.min(estimatedTokens * state.tokenRatio, state.tokens.perMinute);

export function begin(state: EndpointState, call: Begun): EndpointState {
  return {
    ...state,
    health: call.probe ? startProbe(state.health) : state.health,
    inFlight: state.inFlight + 1,
    requests: state.requests && take(state.requests, 1, call.at),
    tokens: state.tokens && take(state.tokens, call.reserved, call.at),
    askedAt: call.at,
    totals: { ...state.totals, requests: state.totals.requests + 1 },
  };
}

export type Ending =
  | {
      readonly kind: 'answered';
      readonly firstTokenMs: number;
      readonly tokens: TokenCount;
      /** What of them counts for a limit of tokens a minute. */
      readonly countedTokens: number;
      readonly costUsd: number;
    }
  | { readonly kind: 'failed'; readonly failure: ProviderFailure }
  /** By us: it says nothing about the endpoint. */
  | { readonly kind: 'cancelled' };

export function end(before: EndpointState, call: Begun, ending: Ending, now: number): EndpointState {
  const state = { ...before, inFlight: before.inFlight - 1 };
  switch (ending.kind) {
    case 'answered':
      return answered(state, call, ending, now);
    case 'failed':
      return failed(state, call, ending.failure, now);
    case 'cancelled':
      return { ...state, health: call.probe ? withoutProbe(state.health) : state.health };
  }
}

function answered(
  state: EndpointState,
  call: Begun,
  { firstTokenMs, tokens, countedTokens, costUsd }: Extract<Ending, { kind: 'answered' }>,
  now: number,
): EndpointState {
  const { totals } = state;
  const ratio = call.estimatedTokens > 0 ? countedTokens / call.estimatedTokens : state.tokenRatio;
  return {
    ...state,
    health: HEALTHY,
    throttle: state.throttle.until > now ? state.throttle : UNTHROTTLED,
    window: state.window === UNLIMITED ? UNLIMITED : grown(state.window),
    tokens: state.tokens && take(state.tokens, countedTokens - call.reserved, now),
    tokenRatio: state.tokenRatio + RATIO_WEIGHT_OF_NEWEST * (ratio - state.tokenRatio),
    latency: {
      ...state.latency,
      [call.model]: observe(state.latency[call.model], {
        firstTokenMs,
        durationMs: now - call.at,
        outputTokens: tokens.outputTokens,
      }),
    },
    refusing: without(state.refusing, call.model),
    totals: {
      ...totals,
      answered: totals.answered + 1,
      inputTokens: totals.inputTokens + tokens.inputTokens,
      cachedInputTokens: totals.cachedInputTokens + tokens.cachedInputTokens,
      outputTokens: totals.outputTokens + tokens.outputTokens,
      costUsd: totals.costUsd + costUsd,
    },
  };
}

function failed(state: EndpointState, call: Begun, failure: ProviderFailure, now: number): EndpointState {
  const { totals } = state;
  const lastFailure = { at: now, message: failure.message };
  const count = { ...totals, failed: totals.failed + 1 };
  const slow = (ms: number) => ({ ...state.latency, [call.model]: penalise(state.latency[call.model], ms) });
  const elapsedMs = now - call.at;
  switch (failure.kind) {
    case 'throttled': {
      const waitMs = throttleMs(state.throttle.inARow, failure.retryAfterMs);
      // Of a volley that is refused together only the first one counts.
      const first = state.throttle.until <= now || state.throttle.inARow === 0;
      return {
        ...state,
        health: call.probe ? withoutProbe(state.health) : state.health,
        throttle: {
          until: Math.max(state.throttle.until, first ? now + waitMs : now + (failure.retryAfterMs ?? 0)),
          inARow: state.throttle.inARow + (first ? 1 : 0),
        },
        window: first ? shrunk(state.inFlight + 1) : state.window,
        tokens: state.tokens && take(state.tokens, -call.reserved, now),
        latency: slow(elapsedMs + waitMs),
        lastFailure,
        totals: { ...count, throttled: totals.throttled + 1 },
      };
    }
    case 'refused':
      return {
        ...state,
        health: call.probe ? withoutProbe(state.health) : state.health,
        refusing: { ...state.refusing, [call.model]: { until: now + REFUSAL_REST_MS, words: failure.message } },
        lastFailure,
        totals: count,
      };
    case 'unavailable':
    case 'malformed':
      return {
        ...state,
        health: afterFailure(state.health, call.probe, now),
        latency: slow(elapsedMs),
        lastFailure,
        totals: count,
      };
    // It is this call that is refused: the endpoint is well, and others may ask it.
    case 'wrong-request':
    case 'too-long':
      return { ...state, health: HEALTHY, lastFailure, totals: count };
  }
}

function without<T>(record: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  if (record[key] === undefined) return record;
  const { [key]: _, ...rest } = record;
  return rest;
}
