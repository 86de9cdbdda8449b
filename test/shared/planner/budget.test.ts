import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Budget, Spent } from '../../../src/shared/contracts/budget.ts';
import { NO_METRICS, type Used } from '../../../src/shared/contracts/task.ts';
import {
  addUsed,
  callEstimate,
  covers,
  extended,
  freeOf,
  leftBy,
  type Ledger,
  newLedger,
  reduced,
  release,
  reserve,
  roomFor,
  shareOf,
  spend,
  spendAtMost,
  spentPart,
} from '../../../src/shared/planner/budget.ts';

const NOTHING: Spent = { tokens: 0, usd: 0 };

describe('a ledger', () => {
  test('divides what is free, and takes back what was not spent', () => {
    let ledger = newLedger({ tokens: 1_000 });
    const share = shareOf(ledger, 4, { tokens: 100, usd: 0 });
    expect(share).toEqual({ tokens: 250 });
    ledger = reserve(ledger, 'a', share ?? {});
    expect(freeOf(ledger)).toEqual({ tokens: 750 });
    ledger = release(spend(ledger, 'a', { tokens: 30, usd: 1 }), 'a', 'free');
    expect(freeOf(ledger)).toEqual({ tokens: 970 });
    expect(ledger.reserved).toEqual({});
  });

  test('counts a reservation in full when nobody can tell what was spent of it', () => {
    const ledger = reserve(newLedger({ tokens: 1_000, usd: 2 }), 'a', { tokens: 400, usd: 1 });
    const lost = release(spend(ledger, 'a', { tokens: 100, usd: 0.25 }), 'a', 'unknown');
    expect(lost.spent).toEqual({ tokens: 400, usd: 1 });
    expect(freeOf(lost)).toEqual({ tokens: 600, usd: 1 });
  });

  test.each<[what: string, most: Budget, spent: Spent]>([
    ['what it is told', { tokens: 200, usd: 0.5 }, { tokens: 300, usd: 0.75 }],
    ['no more than what was reserved', { tokens: 900, usd: 9 }, { tokens: 400, usd: 1 }],
    ['all of a dimension of which nothing is known', { usd: 0.5 }, { tokens: 400, usd: 0.75 }],
    ['dollars at the rate of those before, where the tokens are known', { tokens: 200 }, { tokens: 300, usd: 0.75 }],
    ['all where nothing is known', {}, { tokens: 400, usd: 1 }],
  ])('counts of what nobody measured %s', (_what, most, spent) => {
    const ledger = reserve(newLedger({ tokens: 1_000, usd: 2 }), 'a', { tokens: 400, usd: 1 });
    const after = release(spendAtMost(spend(ledger, 'a', { tokens: 100, usd: 0.25 }), 'a', most), 'a', 'free');
    expect(after.spent).toEqual(spent);
  });

  test('counts what was not measured also where nothing is limited', () => {
    const ledger = reserve(newLedger({}), 'a', {});
    expect(spendAtMost(ledger, 'a', { tokens: 200, usd: 0.5 }).spent).toEqual({ tokens: 200, usd: 0.5 });
    expect(spendAtMost(ledger, 'a', {}).spent).toEqual(NOTHING);
  });

  test('adds what agents have used, and knows nothing of a sum of which it does not know a part', () => {
    const of = (inputTokens: number, estimated?: Budget): Used => ({
      metrics: { ...NO_METRICS, inputTokens },
      estimated,
    });
    expect(addUsed(of(1), of(2))).toEqual(of(3));
    expect(addUsed(of(1, { tokens: 10 }), of(2))).toEqual(of(3, { tokens: 10 }));
    expect(addUsed(of(1), of(2, {}))).toEqual(of(3, {}));
    expect(addUsed(of(1, { tokens: 10, usd: 1 }), of(2, { tokens: 5 }))).toEqual(of(3, { tokens: 15 }));
  });

  test('leaves the next agent nothing of what the one before may have used all of', () => {
    const metrics = { ...NO_METRICS, inputTokens: 30, costUsd: 0.5 };
    expect(leftBy({ metrics }, { tokens: 100, usd: 2 })).toEqual({ tokens: 70, usd: 1.5 });
    expect(leftBy({ metrics, estimated: { tokens: 20, usd: 1 } }, { tokens: 100, usd: 2 })).toEqual({
      tokens: 50,
      usd: 0.5,
    });
    expect(leftBy({ metrics, estimated: { tokens: 20 } }, { tokens: 100, usd: 2 })).toEqual({ tokens: 50, usd: 0 });
    expect(leftBy({ metrics, estimated: {} }, { tokens: 100 })).toEqual({ tokens: 0 });
  });

  test('refuses a share that is not free, and one of a dimension that is limited and not named', () => {
    const ledger = reserve(newLedger({ tokens: 1_000, usd: 2 }), 'a', { tokens: 900, usd: 1 });
    expect(() => reserve(ledger, 'b', { tokens: 101, usd: 0 })).toThrow('cannot reserve 101 tokens: 100 are free');
    expect(() => reserve(ledger, 'b', { tokens: 1 })).toThrow('usd');
    expect(reserve(ledger, 'a', { tokens: 1_000, usd: 2 }).reserved['a']).toEqual({ tokens: 1_000, usd: 2 });
  });

  test.each<[Budget, number, Spent, Budget, Budget | null]>([
    [{}, 8, { tokens: 10, usd: 1 }, {}, {}],
    [{ tokens: 100 }, 3, { tokens: 10, usd: 1 }, {}, { tokens: 33 }],
    // Equal shares would be too small for anybody: fewer get enough.
    [{ tokens: 100 }, 20, { tokens: 40, usd: 0 }, {}, { tokens: 40 }],
    [{ tokens: 39 }, 1, { tokens: 40, usd: 0 }, {}, null],
    [{ tokens: 100, usd: 1 }, 2, { tokens: 10, usd: 2 }, {}, null],
    [{ tokens: 100 }, 1, { tokens: 10, usd: 0 }, { tokens: 25 }, { tokens: 25 }],
    [{ tokens: 0 }, 1, { tokens: 1, usd: 0 }, {}, null],
  ])('of %j one of %i holders who need %j and want at most %j gets %j', (total, slots, least, most, share) => {
    expect(shareOf(newLedger(total), slots, least, most)).toEqual(share);
  });

  test.each<[Budget, Spent, number]>([
    [{}, { tokens: 100, usd: 5 }, 0],
    [{ tokens: 1_000 }, { tokens: 800, usd: 5 }, 0.8],
    [{ tokens: 1_000, usd: 5 }, { tokens: 100, usd: 4.5 }, 0.9],
    [{ usd: 0 }, NOTHING, 1],
  ])('of %j with %j spent, the part is %d', (total, spent, part) => {
    expect(spentPart({ ...newLedger(total), spent })).toBeCloseTo(part, 10);
  });
});

describe('a call', () => {
  test.each<[Budget, number, 'free' | 'last' | 'none']>([
    [{}, 1_000_000, 'free'],
    [{ tokens: 300 }, 100, 'free'],
    [{ tokens: 299 }, 100, 'last'],
    [{ tokens: 200 }, 100, 'last'],
    [{ tokens: 199 }, 100, 'none'],
  ])('with %j, 100 spent and %i tokens a call, has room: %s', (budget, tokens, room) => {
    expect(roomFor(budget, { tokens: 100, usd: 0 }, { tokens, usd: 0 })).toBe(room);
  });

  test('is taken to cost what the tokens before it cost', () => {
    expect(callEstimate(900, 100, { tokens: 500, usd: 2 })).toEqual({ tokens: 1_000, usd: 4 });
    expect(callEstimate(900, 100, NOTHING)).toEqual({ tokens: 1_000, usd: 0 });
  });

  test('a budget is reduced to nothing at most, and extended only where it is limited', () => {
    expect(reduced({ tokens: 10 }, { tokens: 30, usd: 1 })).toEqual({ tokens: 0 });
    expect(extended({ usd: 1 }, { tokens: 30, usd: 1 })).toEqual({ usd: 2 });
    expect(covers({ usd: 1 }, { tokens: 1e9, usd: 1 })).toBe(true);
  });
});

/** One agent of the model: what it asks for is at most its estimate, and what it is charged may be more. */
type Agent = { name: string; spent: number; inFlight: { estimate: number; real: number } | null };

describe('a run under a budget', () => {
  test('exceeds it by at most what its calls in flight took beyond their estimates, whatever is interleaved', () => {
    const event = fc.record({
      kind: fc.constantFrom('start', 'call', 'answer', 'end', 'lost', 'cutOff'),
      who: fc.nat(9),
      estimate: fc.integer({ min: 1, max: 400 }),
      excess: fc.integer({ min: -300, max: 200 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5_000 }), fc.array(event, { maxLength: 200 }), (total, events) => {
        let ledger: Ledger = newLedger({ tokens: total });
        const agents = new Map<number, Agent>();
        let spent = 0;
        let excess = 0;
        for (const { kind, who, estimate, excess: beyond } of events) {
          const agent = agents.get(who);
          if (kind === 'start' && agent === undefined) {
            const share = shareOf(ledger, 10 - agents.size, { tokens: 50, usd: 0 });
            if (share === null) continue;
            ledger = reserve(ledger, `agent-${who}`, share);
            agents.set(who, { name: `agent-${who}`, spent: 0, inFlight: null });
          }
          if (agent === undefined) continue;
          const budget = extended(ledger.reserved[agent.name] ?? {}, NOTHING);
          if (kind === 'call' && agent.inFlight === null) {
            const room = roomFor(budget, NOTHING, { tokens: estimate, usd: 0 });
            if (room !== 'none') agent.inFlight = { estimate, real: Math.max(0, estimate + beyond) };
          }
          if (kind === 'answer' && agent.inFlight !== null) {
            const { real } = agent.inFlight;
            spent += real;
            excess += Math.max(0, real - (budget.tokens ?? 0));
            ledger = spend(ledger, agent.name, { tokens: real, usd: 0 });
            agent.inFlight = null;
          }
          if ((kind === 'end' || kind === 'lost') && agent.inFlight === null) {
            ledger = release(ledger, agent.name, kind === 'lost' ? 'unknown' : 'free');
            agents.delete(who);
          }
          if (kind === 'cutOff' && agent.inFlight !== null) {
            // Its answer is paid, and nobody has seen how much it was: its estimate counts.
            const { estimate, real } = agent.inFlight;
            spent += real;
            excess += Math.max(0, real - estimate);
            ledger = release(spendAtMost(ledger, agent.name, { tokens: estimate }), agent.name, 'free');
            agents.delete(who);
          }
          expect(spent).toBeLessThanOrEqual(total + excess);
          const held = Object.values(ledger.reserved).reduce((sum, { tokens = 0 }) => sum + tokens, 0);
          expect(ledger.spent.tokens + held).toBeLessThanOrEqual(total + excess);
        }
      }),
      { numRuns: 500 },
    );
  });
});
