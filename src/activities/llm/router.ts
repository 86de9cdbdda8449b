/**
 * Which endpoint is asked next: the healthiest first, a conversation stays where it is (prompt caches). Decides
 * only; the clock is an argument. Latency, limits and weighted choice are for the full router.
 *
 * 1. An endpoint is not asked before the time that its Retry-After named.
 * 2. After 3 failures in a row it rests for 30 s, unless all the others rest as well: an outage is waited out by
 *    the caller's back-off, not by this.
 */
import type { Role } from '../../shared/contracts/agent.ts';
import { type Endpoint, modelFor } from './endpoints.ts';
import type { ProviderFailure } from './failures.ts';

export const UNHEALTHY_AFTER = 3;
const COOLDOWN_MS = 30_000;
const MAX_CONVERSATIONS = 5_000;

export type Candidate = { endpoint: Endpoint; model: string };
export type Choice = {
  /** To be asked now, in this order. */
  ready: Candidate[];
  /** When the first of those that asked for time may be asked, ms since the epoch. */
  notBefore: number | undefined;
};

type Health = { failures: number; restsUntil: number; notBefore: number };

export class Router {
  readonly #endpoints: readonly Endpoint[];
  readonly #health = new Map<Endpoint, Health>();
  readonly #stickiness = new Map<string, Endpoint>();

  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoints = endpoints;
  }

  /** Empty `ready` and no `notBefore`: nobody is left for this role. */
  choose(role: Role, conversation: string, without: ReadonlySet<Endpoint>, now: number): Choice {
    const candidates = this.#endpoints.flatMap((endpoint) => {
      const model = modelFor(endpoint, role);
      return model === undefined || without.has(endpoint) ? [] : [{ endpoint, model }];
    });
    const allowed = candidates.filter(({ endpoint }) => this.#of(endpoint).notBefore <= now);
    const awake = allowed.filter(({ endpoint }) => this.#of(endpoint).restsUntil <= now);
    const stays = this.#stickiness.get(conversation);
    const rank = ({ endpoint }: Candidate): readonly number[] => {
      const { failures } = this.#of(endpoint);
      return [endpoint === stays && failures < UNHEALTHY_AFTER ? 0 : 1, failures, -endpoint.weight];
    };
    const waiting = candidates.map(({ endpoint }) => this.#of(endpoint).notBefore).filter((at) => at > now);
    return {
      ready: (awake.length > 0 ? awake : allowed).toSorted((a, b) => compare(rank(a), rank(b))),
      notBefore: waiting.length === 0 ? undefined : Math.min(...waiting),
    };
  }

  succeeded(endpoint: Endpoint, conversation: string): void {
    this.#health.set(endpoint, { failures: 0, restsUntil: 0, notBefore: 0 });
    this.#stickiness.delete(conversation);
    this.#stickiness.set(conversation, endpoint);
    const oldest = this.#stickiness.keys().next().value;
    if (this.#stickiness.size > MAX_CONVERSATIONS && oldest !== undefined) this.#stickiness.delete(oldest);
  }

  failed(endpoint: Endpoint, failure: ProviderFailure, now: number): void {
    if (!failure.countsAgainstHealth) return;
    const health = this.#of(endpoint);
    const failures = health.failures + 1;
    this.#health.set(endpoint, {
      failures,
      restsUntil: failures >= UNHEALTHY_AFTER ? now + COOLDOWN_MS : 0,
      notBefore: failure.retryAfterMs === undefined ? health.notBefore : now + failure.retryAfterMs,
    });
  }

  #of(endpoint: Endpoint): Health {
    return this.#health.get(endpoint) ?? { failures: 0, restsUntil: 0, notBefore: 0 };
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, x] of a.entries()) {
    const difference = x - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
