/**
 * Calls of models and the state of their endpoints as metrics, beside Temporal's own. Names follow Prometheus: units
 * in the name, seconds, counters that only grow. Tags are names of endpoints and models, never of runs.
 */
import type { MetricMeter } from '@temporalio/common';
import type { WorkerEndpoints } from '../../shared/contracts/endpoint-status.ts';
import type { TokenCount } from '../../shared/agent/usage.ts';
import type { ProviderFailureKind } from './failures.ts';

export type LlmMetrics = {
  answered(
    at: { endpoint: string; model: string },
    call: { firstTokenMs: number; durationMs: number; waitedMs: number; tokens: TokenCount; costUsd: number },
  ): void;
  failed(at: { endpoint: string; model: string }, kind: ProviderFailureKind): void;
  /** How the endpoints stand now. */
  stand(now: WorkerEndpoints): void;
};

const SECONDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600];
/** Upper bounds of buckets, by name of a histogram. */
export const LLM_BUCKETS: Readonly<Record<string, number[]>> = {
  agentswarm_llm_request_seconds: SECONDS,
  agentswarm_llm_first_token_seconds: SECONDS,
  agentswarm_llm_wait_seconds: [...SECONDS, 1_800, 3_600],
};

const HEALTH = ['up', 'down', 'probing', 'throttled'] as const;

/** Of a meter that exports nowhere they cost next to nothing. */
export function createLlmMetrics(meter: MetricMeter): LlmMetrics {
  const counter = (name: string, what: string) => meter.createCounter(`agentswarm_llm_${name}`, undefined, what);
  const gauge = (name: string, what: string) => meter.createGauge(`agentswarm_llm_${name}`, 'float', undefined, what);
  const histogram = (name: string, what: string) =>
    meter.createHistogram(`agentswarm_llm_${name}`, 'float', undefined, what);

  const requests = counter('requests_total', 'Requests by outcome: answered, or the kind of failure');
  const tokens = counter('tokens_total', 'Tokens of answered calls by kind; cached_input is part of input');
  const cost = counter('cost_microusd_total', 'Cost of answered calls, in millionths of a US dollar');
  const duration = histogram('request_seconds', 'From an answered request to the end of its answer');
  const firstToken = histogram('first_token_seconds', 'From an answered request to the first piece of its answer');
  const waited = histogram('wait_seconds', 'From a call to its answered request: limits, failed requests, outages');
  const health = gauge('endpoint_health', '1 for the health that an endpoint has, 0 for the others');
  const latency = gauge('endpoint_first_token_seconds', 'Moving mean of the time to the first token');
  const rate = gauge('endpoint_tokens_per_second', 'Moving mean of the output rate');
  const inFlight = gauge('endpoint_in_flight', 'Requests that wait for their answer');
  const left = gauge('endpoint_left', "Left of a minute's worth, by kind: requests, tokens; for endpoints with limits");
  const waiting = gauge('waiting_calls', 'Calls that have no endpoint to ask');
  const longest = gauge('waiting_seconds', 'How long the first of these has waited');

  return {
    answered(at, call) {
      requests.add(1, { ...at, outcome: 'answered' });
      tokens.add(call.tokens.inputTokens, { ...at, kind: 'input' });
      tokens.add(call.tokens.cachedInputTokens, { ...at, kind: 'cached_input' });
      tokens.add(call.tokens.outputTokens, { ...at, kind: 'output' });
      cost.add(Math.round(call.costUsd * 1_000_000), at);
      duration.record(call.durationMs / 1_000, at);
      firstToken.record(call.firstTokenMs / 1_000, at);
      waited.record(call.waitedMs / 1_000, at);
    },
    failed: (at, kind) => requests.add(1, { ...at, outcome: kind }),
    stand({ at, endpoints, waiting: calls }) {
      for (const { name: endpoint, ...status } of endpoints) {
        for (const each of HEALTH) health.set(status.health === each ? 1 : 0, { endpoint, health: each });
        inFlight.set(status.inFlight, { endpoint });
        if (status.requests !== undefined) left.set(status.requests.left, { endpoint, kind: 'requests' });
        if (status.tokens !== undefined) left.set(status.tokens.left, { endpoint, kind: 'tokens' });
        for (const { name: model, firstTokenMs, tokensPerSecond } of status.models) {
          if (firstTokenMs !== undefined) latency.set(firstTokenMs / 1_000, { endpoint, model });
          if (tokensPerSecond !== undefined) rate.set(tokensPerSecond, { endpoint, model });
        }
      }
      waiting.set(calls.calls);
      longest.set(calls.since === undefined ? 0 : Math.max(0, (at - calls.since) / 1_000));
    },
  };
}
