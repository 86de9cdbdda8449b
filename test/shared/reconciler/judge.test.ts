import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckError } from '../../../src/shared/contracts/checks.ts';
import {
  digestOf,
  errorsOf,
  judgeErrors,
  lastingErrors,
  newMemory,
  nextInterval,
  SWEEP_INTERVAL,
  withFiled,
} from '../../../src/shared/reconciler/judge.ts';

const error = (signature: string): CheckError => ({ check: 'test', message: signature, signature });
const fix = (id: string, open: boolean) => ({ id, open, outcome: open ? 'at work' : 'landed' });
const signatures = (errors: readonly CheckError[]) => errors.map(({ signature }) => signature);

describe('nextInterval', () => {
  it('is halved when red and grows by half after every third green in a row', () => {
    const bounds = { minMs: 10, maxMs: 1_000 };
    const after = (verdicts: string, intervalMs: number) =>
      [...verdicts].reduce((at, v) => nextInterval(at, v === 'r' ? 'red' : 'green', bounds), { intervalMs, greens: 0 });
    expect(after('r', 100).intervalMs).toBe(50);
    expect(after('rr', 100).intervalMs).toBe(25);
    expect(after('gg', 100).intervalMs).toBe(100);
    expect(after('ggg', 100).intervalMs).toBe(150);
    expect(after('ggrgg', 100).intervalMs).toBe(50);
    expect(after('gggggg', 100).intervalMs).toBe(225);
  });

  it('stays within its bounds, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('green' as const, 'red' as const)), (verdicts) => {
        let at = { intervalMs: SWEEP_INTERVAL.firstMs, greens: 0 };
        for (const verdict of verdicts) {
          at = nextInterval(at, verdict);
          expect(at.intervalMs).toBeGreaterThanOrEqual(SWEEP_INTERVAL.minMs);
          expect(at.intervalMs).toBeLessThanOrEqual(SWEEP_INTERVAL.maxMs);
        }
      }),
    );
  });
});

describe('errorsOf', () => {
  it('has an error that two checks show once', () => {
    const run = (errors: CheckError[]) => ({ name: 'x', status: 'failed' as const, durationMs: 1, errors, tail: '' });
    expect(signatures(errorsOf([run([error('a'), error('b')]), run([error('b'), error('c')])]))).toEqual([
      'a',
      'b',
      'c',
    ]);
  });
});

describe('lastingErrors', () => {
  it('keeps what every sweep has shown', () => {
    const of = (names: string) => [...names].map(error);
    expect(signatures(lastingErrors([of('abc'), of('bcd'), of('cbx')]))).toEqual(['c', 'b']);
    expect(signatures(lastingErrors([of('ab')]))).toEqual(['a', 'b']);
    expect(lastingErrors([of('ab'), of('cd')])).toEqual([]);
  });
});

describe('judgeErrors', () => {
  const memory = newMemory();

  it('files what is new, once, and waits for fixes that are at work', () => {
    const first = judgeErrors([error('a'), error('b')], memory, []);
    expect(signatures(first.file)).toEqual(['a', 'b']);
    const filed = withFiled(first.filed, [
      { error: error('a'), tasks: ['fix-1'] },
      { error: error('b'), tasks: ['fix-1'] },
    ]);
    const second = judgeErrors([error('a'), error('b'), error('c')], { filed }, [fix('fix-1', true)]);
    expect(signatures(second.file)).toEqual(['c']);
    expect(signatures(second.waiting)).toEqual(['a', 'b']);
  });

  it('tries an error twice and then tells of it, once, with what was tried', () => {
    let filed = withFiled([], [{ error: error('a'), tasks: ['fix-1'] }]);
    const again = judgeErrors([error('a')], { filed }, [fix('fix-1', false)]);
    expect(signatures(again.file)).toEqual(['a']);
    filed = withFiled(again.filed, [{ error: error('a'), tasks: ['fix-2'] }]);
    const tried = [fix('fix-1', false), fix('fix-2', false)];
    const given = judgeErrors([error('a')], { filed }, tried);
    expect(given.file).toEqual([]);
    expect(given.escalate).toEqual([{ error: error('a'), tried: ['fix-1', 'fix-2'] }]);
    const later = judgeErrors([error('a')], { filed: given.filed }, tried);
    expect([later.file, later.escalate]).toEqual([[], []]);
  });

  it('forgets an error that is gone: when it comes back it is a new one', () => {
    const filed = withFiled([], [{ error: error('a'), tasks: ['fix-1', 'fix-2'] }]);
    const gone = judgeErrors([error('b')], { filed }, []);
    expect(gone.filed).toEqual([]);
    expect(signatures(judgeErrors([error('a')], { filed: gone.filed }, []).file)).toEqual(['a']);
  });

  it('leaves alone what failed before the run began', () => {
    const inherited = [digestOf(error('a'))];
    expect(signatures(judgeErrors([error('a'), error('b')], { filed: [], inherited }, []).file)).toEqual(['b']);
  });

  it('never files an error more than twice, however tasks end', () => {
    const step = fc.record({ shown: fc.subarray(['a', 'b', 'c'], { minLength: 1 }), ends: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let filed = memory.filed;
        const tried: ReturnType<typeof fix>[] = [];
        const times = new Map<string, number>();
        for (const { shown, ends } of steps) {
          if (ends) for (const each of tried) each.open = false;
          const all = ['a', 'b', 'c'];
          for (const name of all.filter((each) => !shown.includes(each))) times.delete(name);
          const filing = judgeErrors(shown.map(error), { filed }, tried);
          const id = `fix-${tried.length + 1}`;
          if (filing.file.length > 0) tried.push(fix(id, true));
          for (const { signature } of filing.file) times.set(signature, (times.get(signature) ?? 0) + 1);
          filed = withFiled(
            filing.filed,
            filing.file.map((each) => ({ error: each, tasks: [id] })),
          );
          expect(Math.max(0, ...times.values())).toBeLessThanOrEqual(2);
        }
      }),
    );
  });
});
