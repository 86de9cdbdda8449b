/**
 * Which endpoint a call goes to now, or what it waits for. Pure: state, time and chance are arguments.
 *
 * 1. A conversation stays where it was answered last (prompt caches) while that endpoint is up, not slow, and free
 *    within 5 s.
 * 2. Others go to endpoints that are up, by weight × (fastest / its latency)². One that is more than four times as
 *    slow as the fastest, weights considered, gets nothing but a call every 30 s, to see whether it still is.
 * 3. An endpoint that nobody knows yet gets at most 4 calls at once while others are known.
 * 4. One that is down gets a probe when it is due. A call that has a good place of its own is not spent on that
 *    unless nobody else has come for 30 s.
 * 5. Limits are waited for, unless a slow endpoint would have answered by then.
 */
import type { Role } from '../../../shared/contracts/agent.ts';
import { type Endpoint, modelFor } from '../endpoints.ts';
import { type EndpointState, reservation } from './endpoint-state.ts';
import { probeAt } from './health.ts';
import { expectedMs } from './latency.ts';
import { availableAt } from './limits.ts';

export const SLOW_FACTOR = 4;
const STAY_MS = 5_000;
const LOOK_AGAIN_MS = 30_000;
const OVERDUE_MS = 30_000;
const EXPLORE_IN_FLIGHT = 4;
/** Also what only an event can end (a free slot, a probe's outcome) is looked at again after so long. */
const MAX_WAIT_MS = 30_000;
const NEVER = Number.POSITIVE_INFINITY;

export type Contender = { readonly endpoint: Endpoint; readonly state: EndpointState };

export type Wish = {
  readonly role: Role;
  /** Where this conversation was answered last. */
  readonly home: Endpoint | undefined;
  /** Endpoints that have refused this call. */
  readonly refused: ReadonlySet<Endpoint>;
  /** This call's own back-off after failures, ms since the epoch. */
  readonly notBefore: ReadonlyMap<Endpoint, number>;
  /** 0: not estimated, as nobody limits tokens. */
  readonly estimatedTokens: number;
  /** Since when it waits, ms since the epoch. */
  readonly since: number;
};

export type WaitReason = 'outage' | 'throttled' | 'backoff' | 'limit';

export type Choice =
  | { readonly kind: 'ask'; readonly endpoint: Endpoint; readonly model: string; readonly probe: boolean }
  | {
      readonly kind: 'wait';
      readonly until: number;
      readonly why: WaitReason;
      /** Endpoints whose next free slot or token is this call's: nobody behind it may take them. */
      readonly holds: readonly Endpoint[];
    }
  /** No endpoint has a model for the role, or all have refused; in which words, of those that others asked. */
  | { readonly kind: 'nobody'; readonly refusals: ReadonlyMap<Endpoint, string> };

export type Standing = 'normal' | 'new' | 'slow' | 'down';
type Assessed = Contender & {
  readonly model: string;
  readonly standing: Standing;
  /** For 300 tokens; of one that is new, that of the fastest. */
  readonly expectedMs: number;
  /** When it may be asked, ms since the epoch; Infinity: when something happens. */
  readonly openAt: number;
  /** It has no free slot, or no requests or tokens left for now. */
  readonly limited: boolean;
  /** Since when a probe (of one that is down) or another look (at one that is slow) is due. */
  readonly dueAt: number;
};

export function choose(
  contenders: readonly Contender[],
  wish: Wish,
  held: ReadonlySet<Endpoint>,
  now: number,
  random: () => number,
): Choice {
  const able = contenders.flatMap(({ endpoint, state }) => {
    const model = modelFor(endpoint, wish.role);
    return model === undefined || wish.refused.has(endpoint) ? [] : [{ endpoint, state, model }];
  });
  const refusals = new Map<Endpoint, string>();
  for (const { endpoint, state, model } of able) {
    const refusal = state.refusing[model];
    if (refusal !== undefined && refusal.until > now) refusals.set(endpoint, refusal.words);
  }
  const open = able.filter(({ endpoint }) => !refusals.has(endpoint));
  if (open.length === 0) return { kind: 'nobody', refusals };

  const assessed = assess(open, wish, held, now);
  const home = assessed.find(
    ({ endpoint, standing }) =>
      endpoint === wish.home &&
      (standing === 'normal' || standing === 'new') &&
      (wish.notBefore.get(endpoint) ?? 0) <= now,
  );
  const due = assessed.filter(({ dueAt, openAt }) => dueAt <= now && openAt <= now);
  const overdue = due.find(({ dueAt }) => dueAt + OVERDUE_MS <= now);
  if (overdue !== undefined) return ask(overdue);
  if (home !== undefined && home.openAt <= now) return ask(home);
  const stayUntil = wish.since + STAY_MS;
  if (home !== undefined && now < stayUntil && freeBy(home, stayUntil)) return wait([home], stayUntil, now);
  const [firstDue] = due;
  if (firstDue !== undefined) return ask(firstDue);

  const good = assessed.filter(({ standing }) => standing === 'normal' || standing === 'new');
  const ready = good.filter(({ openAt }) => openAt <= now);
  if (ready.length > 0) return ask(draw(ready, random));
  const inTime = slowButSooner(assessed, good, now);
  return inTime === undefined ? wait(assessed, NEVER, now) : ask(inTime);
}

const ask = ({ endpoint, model, standing }: Assessed): Choice => ({
  kind: 'ask',
  endpoint,
  model,
  probe: standing === 'down',
});

type Ranked = Candidate & Pick<Assessed, 'standing' | 'expectedMs'>;
type Candidate = Contender & { readonly model: string };

/** How the candidates for a role stand to each other. */
export function rank(open: readonly Candidate[]): Ranked[] {
  const known = open.flatMap(({ endpoint, state, model }) => {
    const latency = state.latency[model];
    return state.health.kind !== 'up' || latency === undefined || latency.answers === 0
      ? []
      : [{ ms: expectedMs(latency), cost: expectedMs(latency) / endpoint.weight }];
  });
  const lowestCost = Math.min(...known.map(({ cost }) => cost));
  const fastestMs = Math.min(...known.map(({ ms }) => ms));
  return open.map((candidate) => {
    const { endpoint, state, model } = candidate;
    const latency = state.latency[model];
    const atLeastMs = latency === undefined ? 0 : expectedMs(latency);
    const answered = latency !== undefined && latency.answers > 0;
    const ms = answered ? atLeastMs : Math.max(atLeastMs, Number.isFinite(fastestMs) ? fastestMs : 0);
    const standing = (): Standing => {
      if (state.health.kind !== 'up') return 'down';
      if (ms / endpoint.weight > SLOW_FACTOR * lowestCost) return 'slow';
      return answered ? 'normal' : 'new';
    };
    return { ...candidate, standing: standing(), expectedMs: ms };
  });
}

function assess(open: readonly Candidate[], wish: Wish, held: ReadonlySet<Endpoint>, now: number): Assessed[] {
  const outage = open.every(({ state }) => state.health.kind !== 'up');
  const ranked = rank(open);
  const someKnown = ranked.some(({ standing }) => standing === 'normal');
  return ranked.map((candidate) => {
    const { endpoint, state, standing } = candidate;
    const dueAt = dueAtOf(state, standing, outage);
    const busy =
      state.inFlight >= Math.min(endpoint.limits.concurrency ?? NEVER, state.window) ||
      (standing === 'new' && someKnown && state.inFlight >= EXPLORE_IN_FLIGHT);
    const limitAt = Math.max(
      busy || held.has(endpoint) ? NEVER : now,
      state.requests === undefined ? now : availableAt(state.requests, 1, now),
      state.tokens === undefined ? now : availableAt(state.tokens, reservation(state, wish.estimatedTokens), now),
    );
    const openAt = Math.max(
      limitAt,
      wish.notBefore.get(endpoint) ?? 0,
      state.throttle.until,
      standing === 'down' ? dueAt : 0,
    );
    return { ...candidate, openAt, limited: limitAt > now, dueAt };
  });
}

function dueAtOf(state: EndpointState, standing: Standing, outage: boolean): number {
  if (state.health.kind === 'down') return probeAt(state.health, outage);
  // One at a time, whoever it is.
  if (standing === 'slow' && state.inFlight === 0) return state.askedAt + LOOK_AGAIN_MS;
  return NEVER;
}

const freeBy = ({ openAt, limited }: Assessed, time: number): boolean =>
  openAt <= time || (limited && openAt === NEVER);

/** By weight × (fastest / its latency)². */
function draw(ready: readonly Assessed[], random: () => number): Assessed {
  const fastest = Math.min(...ready.map((each) => each.expectedMs));
  const shares = ready.map(({ endpoint, expectedMs: ms }) => endpoint.weight * (ms > 0 ? (fastest / ms) ** 2 : 1));
  let left = random() * shares.reduce((sum, share) => sum + share, 0);
  for (const [i, share] of shares.entries()) {
    left -= share;
    if (left < 0) return ready[i] as Assessed;
  }
  return ready.at(-1) as Assessed;
}

/** The fastest of the slow ones, when it would have answered before the others are free. */
function slowButSooner(assessed: readonly Assessed[], good: readonly Assessed[], now: number): Assessed | undefined {
  const soonest = Math.min(
    ...good.map(({ openAt, expectedMs: ms }) => (Number.isFinite(openAt) ? openAt - now : ms) + ms),
  );
  return assessed
    .filter(({ standing, openAt }) => standing === 'slow' && openAt <= now)
    .toSorted((a, b) => a.expectedMs - b.expectedMs)
    .find(({ expectedMs: ms }) => ms < soonest);
}

function wait(assessed: readonly Assessed[], atMost: number, now: number): Choice {
  const until = Math.min(...assessed.map(({ openAt }) => openAt), atMost, now + MAX_WAIT_MS);
  const up = assessed.filter(({ standing }) => standing !== 'down');
  const limited = up.filter((each) => each.limited);
  const why: WaitReason =
    up.length === 0
      ? 'outage'
      : limited.length > 0
        ? 'limit'
        : up.some(({ state }) => state.throttle.until > now)
          ? 'throttled'
          : 'backoff';
  return { kind: 'wait', until, why, holds: limited.map(({ endpoint }) => endpoint) };
}
