/** The router's states as people and metrics see them. Pure. */
import type { EndpointStatus } from '../../../shared/contracts/endpoint-status.ts';
import { ROLES } from '../../../shared/contracts/agent.ts';
import { modelFor } from '../endpoints.ts';
import { type Contender, rank, type Standing } from './choose.ts';
import { probeAt } from './health.ts';
import { type Bucket, levelAt, UNLIMITED } from './limits.ts';

export function endpointStatuses(contenders: readonly Contender[], now: number): EndpointStatus[] {
  const outage = contenders.every(({ state }) => state.health.kind !== 'up');
  return contenders.map((contender) => {
    const { endpoint, state } = contender;
    const { health, throttle } = state;
    const throttled = throttle.until > now;
    const concurrency = Math.min(endpoint.limits.concurrency ?? UNLIMITED, Math.floor(state.window));
    const nextTryAt = health.kind === 'down' ? probeAt(health, outage) : throttled ? throttle.until : undefined;
    return {
      name: endpoint.name,
      provider: endpoint.provider,
      models: [...new Set(ROLES.flatMap((role) => modelFor(endpoint, role) ?? []))].map((name) =>
        modelStatus(contender, name, standingOf(contenders, contender, name), now),
      ),
      health: health.kind === 'up' && throttled ? 'throttled' : health.kind,
      failuresInARow: health.kind === 'up' ? health.failures : 0,
      ...(health.kind === 'up' ? {} : { downSince: health.since }),
      ...(nextTryAt === undefined ? {} : { nextTryAt }),
      inFlight: state.inFlight,
      ...(Number.isFinite(concurrency) ? { concurrency } : {}),
      ...(state.requests === undefined ? {} : { requests: left(state.requests, now) }),
      ...(state.tokens === undefined ? {} : { tokens: left(state.tokens, now) }),
      totals: state.totals,
      ...(state.lastFailure === undefined ? {} : { lastFailure: state.lastFailure }),
    };
  });
}

/** Among those that serve the same role. */
function standingOf(contenders: readonly Contender[], { endpoint }: Contender, name: string): Standing {
  const role = ROLES.find((each) => modelFor(endpoint, each) === name);
  const rivals = contenders.flatMap((each) => {
    const model = role === undefined ? undefined : modelFor(each.endpoint, role);
    return model === undefined ? [] : [{ ...each, model }];
  });
  return rank(rivals).find((each) => each.endpoint === endpoint)?.standing ?? 'new';
}

function modelStatus(
  { state }: Contender,
  name: string,
  standing: Standing,
  now: number,
): EndpointStatus['models'][number] {
  const latency = state.latency[name];
  const answered = latency !== undefined && latency.answers > 0;
  const refused = (state.refusing[name]?.until ?? 0) > now;
  const shown = refused ? 'refused' : standing === 'down' ? (answered ? 'normal' : 'new') : standing;
  if (!answered) return { name, standing: shown };
  const { firstTokenMs, generationMs, tokens } = latency;
  return {
    name,
    standing: shown,
    firstTokenMs: Math.round(firstTokenMs),
    ...(generationMs > 0 ? { tokensPerSecond: Math.round((10_000 * tokens) / generationMs) / 10 } : {}),
  };
}

const left = (bucket: Bucket, now: number) => ({
  left: Math.floor(levelAt(bucket, now)),
  perMinute: bucket.perMinute,
});
