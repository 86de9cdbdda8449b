/**
 * The endpoints' states and the queue of calls that wait for one: the shell around `choose`. One for each worker
 * process, shared by all its agents.
 *
 * 1. A call is let through by the same decision whether it comes or has waited, planners before workers, then by
 *    age. What an earlier call waits for is not taken by a later one.
 * 2. The queue is looked at again whenever a call ends, and when the first of the waits is over: nobody polls.
 */
import { LRUCache } from 'lru-cache';
import type { Role } from '../../../shared/contracts/agent.ts';
import type { Endpoint } from '../endpoints.ts';
import { choose, type Contender, type Verdict, type WaitReason } from './choose.ts';
import {
  begin,
  type Begun,
  end,
  type Ending,
  type EndpointState,
  initialState,
  reservation,
} from './endpoint-state.ts';

const MAX_CONVERSATIONS = 5_000;

export type Clock = {
  /** ms since the epoch. */
  now(): number;
  /** Calls once, after so many ms; the function it gives takes that back. */
  after(ms: number, call: () => void): () => void;
};

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

export type RouterOptions = {
  endpoints: readonly Endpoint[];
  /** Names of those that could not be reached at start: they are probed before they are used. */
  unreachable?: ReadonlySet<string>;
  clock?: Clock;
  /** In [0, 1). */
  random?: () => number;
};

export type Place = {
  role: Role;
  /** Conversations stay with their endpoint. */
  conversation: string;
  refused: ReadonlySet<Endpoint>;
  notBefore: ReadonlyMap<Endpoint, number>;
  estimatedTokens: number;
  /** Since when the call waits, earlier stays in the queue included: its place in it. */
  since: number;
  /** Ends the waiting. */
  signal: AbortSignal;
  /** After so long without an endpoint it resolves as `again`. */
  patienceMs: number;
  onWaiting?: (waiting: Waiting) => void;
};

export type Waiting = {
  why: WaitReason;
  since: number;
  /** When it may go on at the earliest; it may be later. */
  until: number;
  /** The newest of any endpoint, in words. */
  lastFailure: string | undefined;
};

export type Turn = { kind: 'lease'; lease: Lease } | { kind: 'again' } | Extract<Verdict, { kind: 'nobody' }>;

/** The right to one request. Must be ended exactly once. */
export type Lease = {
  readonly endpoint: Endpoint;
  readonly model: string;
  end(ending: Ending): void;
};

type Waiter = { place: Place; settle: (turn: Turn) => void };

export class Router {
  readonly clock: Clock;
  readonly endpoints: readonly Endpoint[];
  readonly #states = new Map<Endpoint, EndpointState>();
  readonly #homes = new LRUCache<string, Endpoint>({ max: MAX_CONVERSATIONS });
  readonly #random: () => number;
  /** In the order in which they are served. */
  #queue: Waiter[] = [];
  #cancelTimer: () => void = () => undefined;

  constructor({ endpoints, unreachable, clock = systemClock, random = Math.random }: RouterOptions) {
    this.clock = clock;
    this.endpoints = endpoints;
    this.#random = random;
    for (const endpoint of endpoints) {
      this.#states.set(endpoint, initialState(endpoint, unreachable?.has(endpoint.name) !== true, clock.now()));
    }
  }

  /** Resolves when an endpoint may be asked. Rejects with the signal's reason. */
  async acquire(place: Place): Promise<Turn> {
    place.signal.throwIfAborted();
    return new Promise<Turn>((resolve, reject) => {
      const leave = (): void => {
        place.signal.removeEventListener('abort', onAbort);
        cancelPatience();
        this.#queue = this.#queue.filter((other) => other !== waiter);
      };
      const onAbort = (): void => {
        leave();
        reject(place.signal.reason as Error);
        this.#serve();
      };
      const waiter: Waiter = {
        place,
        settle(turn) {
          leave();
          resolve(turn);
        },
      };
      const cancelPatience = this.clock.after(place.patienceMs, () => {
        waiter.settle({ kind: 'again' });
        this.#serve();
      });
      place.signal.addEventListener('abort', onAbort, { once: true });
      const behind = this.#queue.findIndex((other) => before(place, other.place));
      this.#queue.splice(behind === -1 ? this.#queue.length : behind, 0, waiter);
      this.#serve();
    });
  }

  /** For whoever wants to look: the states, and what waits. */
  look(): { contenders: Contender[]; waiting: { calls: number; since: number | undefined } } {
    const times = this.#queue.map(({ place }) => place.since);
    return {
      contenders: this.#contenders(),
      waiting: { calls: times.length, since: times.length === 0 ? undefined : Math.min(...times) },
    };
  }

  #contenders(): Contender[] {
    return this.endpoints.map((endpoint) => ({ endpoint, state: this.#stateOf(endpoint) }));
  }

  #serve(): void {
    const now = this.clock.now();
    const held = new Set<Endpoint>();
    let next = Number.POSITIVE_INFINITY;
    for (const waiter of [...this.#queue]) {
      const { place } = waiter;
      const home = this.#homes.get(place.conversation);
      const verdict = choose(this.#contenders(), { ...place, home }, held, now, this.#random);
      if (verdict.kind === 'wait') {
        next = Math.min(next, verdict.until);
        for (const endpoint of verdict.holds) held.add(endpoint);
        place.onWaiting?.({ ...verdict, since: place.since, lastFailure: this.#lastFailure() });
      } else if (verdict.kind === 'nobody') waiter.settle(verdict);
      else waiter.settle({ kind: 'lease', lease: this.#begin(verdict, place, now) });
    }
    this.#cancelTimer();
    this.#cancelTimer = Number.isFinite(next)
      ? this.clock.after(Math.max(1, next - now), () => this.#serve())
      : () => undefined;
  }

  #begin({ endpoint, model, probe }: Extract<Verdict, { kind: 'ask' }>, place: Place, now: number): Lease {
    const state = this.#stateOf(endpoint);
    const { estimatedTokens, conversation } = place;
    const begun: Begun = { model, probe, estimatedTokens, reserved: reservation(state, estimatedTokens), at: now };
    this.#states.set(endpoint, begin(state, begun));
    return {
      endpoint,
      model,
      end: (ending) => {
        this.#states.set(endpoint, end(this.#stateOf(endpoint), begun, ending, this.clock.now()));
        if (ending.kind === 'answered') this.#homes.set(conversation, endpoint);
        this.#serve();
      },
    };
  }

  #lastFailure(): string | undefined {
    const failures = this.#contenders().flatMap(({ state }) => state.lastFailure ?? []);
    return failures.toSorted((a, b) => b.at - a.at)[0]?.message;
  }

  #stateOf(endpoint: Endpoint): EndpointState {
    const state = this.#states.get(endpoint);
    if (state === undefined) throw new Error(`the router was not made with the endpoint ${endpoint.name}`);
    return state;
  }
}

/** What others wait for goes before what only its own task waits for. */
const rankOf = (role: Role): number => (role === 'worker' ? 1 : 0);

const before = (a: Place, b: Place): boolean =>
  rankOf(a.role) !== rankOf(b.role) ? rankOf(a.role) < rankOf(b.role) : a.since < b.since;
