import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../../src/activities/llm/endpoints.ts';
import { ProviderFailure } from '../../../../src/activities/llm/failures.ts';
import { choose, type Contender, type Wish } from '../../../../src/activities/llm/router/choose.ts';
import {
  begin,
  type Begun,
  end,
  type Ending,
  type EndpointState,
  initialState,
} from '../../../../src/activities/llm/router/endpoint-state.ts';
import { endpointTo } from '../support.ts';

const at = { openaiUrl: 'http://h/v1', anthropicUrl: 'http://h' };
const endpoint = (name: string, changes: Partial<Endpoint> = {}) => endpointTo(at, 'openai', { name, ...changes });
const tokens = { inputTokens: 10, cachedInputTokens: 0, cacheWriteInputTokens: 0, outputTokens: 100 };
const failure = (kind: ProviderFailure['kind'], retryAfterMs?: number): Ending => ({
  kind: 'failed',
  failure: new ProviderFailure(kind, `${kind} it is`, { retryAfterMs }),
});

/** A call that began at `now - tookMs` and ended now. */
function ended(state: EndpointState, ending: Ending, now = 0, tookMs = 100, probe = false): EndpointState {
  const call: Begun = { model: 'model-a', probe, estimatedTokens: 0, reserved: 0, at: now - tookMs };
  return end(begin(state, call), call, ending, now);
}
const answered = (state: EndpointState, tookMs: number, now = 0): EndpointState =>
  ended(state, { kind: 'answered', firstTokenMs: tookMs, tokens, countedTokens: 110, costUsd: 0 }, now, tookMs);
const times = (n: number, state: EndpointState, change: (state: EndpointState) => EndpointState): EndpointState =>
  Array.from({ length: n }).reduce<EndpointState>(change, state);

const known = (name: string, tookMs: number, changes: Partial<Endpoint> = {}): Contender => {
  const of = endpoint(name, changes);
  return { endpoint: of, state: answered(initialState(of, true, 0), tookMs) };
};
const fresh = (name: string, changes: Partial<Endpoint> = {}): Contender => {
  const of = endpoint(name, changes);
  return { endpoint: of, state: initialState(of, true, 0) };
};
const changed = (contender: Contender, change: (state: EndpointState) => EndpointState): Contender => ({
  ...contender,
  state: change(contender.state),
});
const down = (contender: Contender, now = 0): Contender =>
  changed(contender, (state) => times(3, state, (each) => ended(each, failure('unavailable'), now)));

const wish = (changes: Partial<Wish> = {}): Wish => ({
  role: 'worker',
  home: undefined,
  refused: new Set(),
  notBefore: new Map(),
  estimatedTokens: 0,
  since: 0,
  ...changes,
});
const nobodyHeld = new Set<Endpoint>();

type Options = { now?: number; random?: number; held?: ReadonlySet<Endpoint> };
const decide = (contenders: Contender[], of: Wish = wish(), { now = 0, random = 0, held = nobodyHeld }: Options = {}) =>
  choose(contenders, of, held, now, () => random);
function nameOf(...args: Parameters<typeof decide>): string {
  const verdict = decide(...args);
  return verdict.kind === 'ask' ? `${verdict.endpoint.name}${verdict.probe ? ' (probe)' : ''}` : verdict.kind;
}

/** How often each is drawn, over all of chance in a thousand steps. */
function shares(contenders: Contender[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < 1_000; i++) {
    const name = nameOf(contenders, wish(), { random: (i + 0.5) / 1_000 });
    counts[name] = (counts[name] ?? 0) + 1 / 1_000;
  }
  return counts;
}

describe('latency and weight', () => {
  test('endpoints as fast as each other share new conversations by weight', () => {
    const found = shares([known('a', 100), known('b', 100, { weight: 3 })]);
    expect(found).toEqual({ a: expect.closeTo(0.25, 2), b: expect.closeTo(0.75, 2) });
  });

  test('one that is twice as slow gets a fifth, one that is twenty times as slow gets none', () => {
    expect(shares([known('a', 100), known('b', 200)])).toEqual({
      a: expect.closeTo(0.8, 2),
      b: expect.closeTo(0.2, 2),
    });
    expect(shares([known('a', 100), known('b', 2_000)])).toEqual({ a: expect.closeTo(1, 6) });
  });

  test('a slow one that a person wants more is not slow until its weight is used up', () => {
    expect(shares([known('a', 100), known('b', 600, { weight: 2 })])['b']).toBeGreaterThan(0.03);
    expect(shares([known('a', 100), known('b', 900, { weight: 2 })])['b']).toBeUndefined();
  });

  test('a slow one is looked at again after 30 s, by one call, and not by one that has a good place', () => {
    const [a, b] = [known('a', 100), known('b', 2_000)];
    const looked = (now: number, home?: Endpoint) => nameOf([a, b], wish({ home, since: now }), { now });
    const asked = b.state.askedAt;
    expect([looked(asked + 29_999), looked(asked + 30_000)]).toEqual(['a', 'b']);
    expect(looked(asked + 30_000, a.endpoint)).toBe('a');
    expect(looked(asked + 60_000, a.endpoint)).toBe('b');
    const busy = changed(b, (state) => ({ ...state, inFlight: 1 }));
    expect(nameOf([a, busy], wish(), { now: asked + 30_000 })).toBe('a');
  });

  test('one that nobody knows gets four calls at once while another is known', () => {
    const [a, b] = [known('a', 100), fresh('b', { weight: 1_000 })];
    expect(nameOf([a, b], wish(), { random: 0.9 })).toBe('b');
    const four = changed(b, (state) => ({ ...state, inFlight: 4 }));
    expect(nameOf([a, four], wish(), { random: 0.9 })).toBe('a');
    const unknown = changed(fresh('a'), (state) => ({ ...state, inFlight: 40 }));
    expect(nameOf([unknown], wish())).toBe('a');
  });
});

describe('a conversation', () => {
  test('stays where it was answered, whatever chance says', () => {
    const [a, b] = [known('a', 100), known('b', 120)];
    for (const random of [0, 0.5, 0.99]) expect(nameOf([a, b], wish({ home: b.endpoint }), { random })).toBe('b');
  });

  test('leaves when that endpoint is down, slow, or has just failed it', () => {
    const [a, b] = [known('a', 100), known('b', 120)];
    expect(nameOf([a, down(b)], wish({ home: b.endpoint }))).toBe('a');
    expect(nameOf([a, known('b', 5_000)], wish({ home: b.endpoint }))).toBe('a');
    const failed = new Map([[b.endpoint, 2_000]]);
    expect(nameOf([a, b], wish({ home: b.endpoint, notBefore: failed }))).toBe('a');
  });

  test('waits up to 5 s for its endpoint to have a free slot, then goes elsewhere', () => {
    const a = known('a', 100);
    const b = changed(known('b', 100, { limits: { concurrency: 1 } }), (state) => ({ ...state, inFlight: 1 }));
    const of = wish({ home: b.endpoint, since: 1_000 });
    expect(decide([a, b], of, { now: 1_000 })).toEqual({
      kind: 'wait',
      until: 6_000,
      why: 'limit',
      holds: [b.endpoint],
    });
    expect(nameOf([a, b], of, { now: 6_000 })).toBe('a');
  });
});

describe('health', () => {
  test('one that is down gets one probe when it is due', () => {
    const [a, b] = [known('a', 100), down(known('b', 100))];
    expect([nameOf([a, b], wish(), { now: 29_999 }), nameOf([a, b], wish(), { now: 30_000 })]).toEqual([
      'a',
      'b (probe)',
    ]);
    const call: Begun = { model: 'model-a', probe: true, estimatedTokens: 0, reserved: 0, at: 30_000 };
    const probed = changed(b, (state) => begin(state, call));
    expect(nameOf([a, probed], wish(), { now: 30_001 })).toBe('a');
    expect(nameOf([probed], wish(), { now: 90_000 })).toBe('wait');
  });

  test('when all are down one call asks, after 2 s, and all others wait for what it hears', () => {
    const all = [down(known('a', 100)), down(known('b', 100))];
    expect(decide(all, wish(), { now: 500 })).toEqual({ kind: 'wait', until: 2_000, why: 'outage', holds: [] });
    expect(nameOf(all, wish(), { now: 2_000 })).toBe('a (probe)');
  });

  test('a request that is wrong in itself says nothing against an endpoint', () => {
    const a = changed(known('a', 100), (state) => times(9, state, (each) => ended(each, failure('wrong-request'))));
    expect(nameOf([a])).toBe('a');
  });

  test('a refused model is passed over for 10 s by all, in its own words when there is no other', () => {
    const [a, b] = [changed(known('a', 100), (state) => ended(state, failure('refused'))), known('b', 300)];
    expect(nameOf([a, b])).toBe('b');
    expect(decide([a])).toEqual({ kind: 'nobody', refusals: new Map([[a.endpoint, 'refused it is']]) });
    expect(nameOf([a], wish(), { now: 10_000 })).toBe('a');
  });
});

describe('"not now"', () => {
  test('nobody asks before the time that was asked for', () => {
    const a = changed(known('a', 100), (state) => ended(state, failure('throttled', 9_000)));
    expect(decide([a], wish(), { now: 1 })).toEqual({ kind: 'wait', until: 9_000, why: 'throttled', holds: [] });
    expect(nameOf([a], wish(), { now: 9_000 })).toBe('a');
  });

  test('an instant refusal counts as slow: the endpoint loses its new conversations', () => {
    const a = changed(known('a', 100), (state) => ended(state, failure('throttled', 2_000), 0, 1));
    const b = known('b', 300);
    const drawn = (of: Contender) => nameOf([of, b], wish(), { now: 2_000, random: 0.3 });
    expect([drawn(known('a', 100)), drawn(a)]).toEqual(['a', 'b']);
  });

  test('a volley that is refused together counts once, and halves the calls at once', () => {
    let a = known('a', 100);
    const call: Begun = { model: 'model-a', probe: false, estimatedTokens: 0, reserved: 0, at: 0 };
    for (let i = 0; i < 40; i++) a = changed(a, (state) => begin(state, call));
    for (let i = 0; i < 40; i++) a = changed(a, (state) => end(state, call, failure('throttled', 1_000), 10 + i));
    expect(a.state).toMatchObject({ window: 20, inFlight: 0, throttle: { inARow: 1 }, health: { kind: 'up' } });
    a = changed(a, (state) => ({ ...state, inFlight: 20 }));
    expect(decide([a], wish(), { now: 5_000 })).toMatchObject({ kind: 'wait', why: 'limit' });
  });
});

describe('limits', () => {
  test('a call waits for a request a minute rather than fail, and holds it against later ones', () => {
    const of = endpoint('a', { limits: { requestsPerMinute: 6 } });
    let state = initialState(of, true, 0);
    for (let i = 0; i < 6; i++) state = ended(state, { kind: 'cancelled' }, 0, 0);
    expect(decide([{ endpoint: of, state }])).toEqual({ kind: 'wait', until: 10_000, why: 'limit', holds: [of] });
    expect(nameOf([{ endpoint: of, state }], wish(), { now: 10_000 })).toBe('a');
    expect(nameOf([{ endpoint: of, state }], wish(), { now: 10_000, held: new Set([of]) })).toBe('wait');
  });

  test('tokens are reserved as they turned out before: what the cache had is not waited for', () => {
    const of = endpoint('a', { limits: { tokensPerMinute: 10_000 } });
    let state = initialState(of, true, 0);
    for (let i = 0; i < 20; i++) {
      const call: Begun = { model: 'model-a', probe: false, estimatedTokens: 1_000, reserved: 100, at: i * 60_000 };
      state = end(
        begin(state, call),
        call,
        { kind: 'answered', firstTokenMs: 1, tokens, countedTokens: 100, costUsd: 0 },
        i * 60_000,
      );
    }
    expect(state.tokenRatio).toBeCloseTo(0.11, 2);
    const now = 20 * 60_000;
    expect(nameOf([{ endpoint: of, state }], wish({ estimatedTokens: 50_000 }), { now })).toBe('a');
  });

  test('a slow endpoint is better than a wait that is longer than it takes', () => {
    const throttled = changed(known('a', 100), (state) => ended(state, failure('throttled', 60_000)));
    const slow = known('b', 5_000);
    expect(
      nameOf([{ ...throttled, state: { ...throttled.state, latency: known('a', 100).state.latency } }, slow]),
    ).toBe('b');
    const soon = known('a', 100, { limits: { concurrency: 1 } });
    expect(nameOf([changed(soon, (state) => ({ ...state, inFlight: 1 })), slow])).toBe('wait');
  });
});

test('roles without a model are nobody’s, and those who have refused this call are not asked again', () => {
  const planner = fresh('a', { models: { planner: 'p' } });
  expect(decide([planner])).toEqual({ kind: 'nobody', refusals: new Map() });
  expect(decide([planner], wish({ role: 'planner', refused: new Set([planner.endpoint]) })).kind).toBe('nobody');
});

test('whatever has happened, a call asks somebody, or waits for a time to come, 30 s at most', () => {
  const step = fc.record({
    of: fc.nat(2),
    gap: fc.nat(40_000),
    took: fc.nat(20_000),
    what: fc.constantFrom('answered', 'unavailable', 'throttled', 'malformed', 'cancelled', 'wrong-request'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let contenders = [fresh('a'), fresh('b', { weight: 3 }), fresh('c', { limits: { requestsPerMinute: 5 } })];
      let now = 0;
      for (const { of, gap, took, what } of steps) {
        now += gap;
        const verdict = decide(contenders, wish({ since: now }), { now, random: of / 3 });
        if (verdict.kind === 'nobody') throw new Error('nobody is left');
        if (verdict.kind === 'wait') {
          expect(verdict.until).toBeGreaterThan(now);
          expect(verdict.until).toBeLessThanOrEqual(now + 30_000);
          continue;
        }
        const { endpoint: asked, model, probe } = verdict;
        const call: Begun = { model, probe, estimatedTokens: 0, reserved: 0, at: now };
        now += took;
        const ending: Ending =
          what === 'answered'
            ? { kind: what, firstTokenMs: took, tokens, countedTokens: 110, costUsd: 0 }
            : what === 'cancelled'
              ? { kind: what }
              : failure(what as ProviderFailure['kind']);
        contenders = contenders.map((each) =>
          each.endpoint === asked ? changed(each, (state) => end(begin(state, call), call, ending, now)) : each,
        );
        expect(contenders.every(({ state }) => state.inFlight === 0)).toBe(true);
      }
    }),
  );
});
