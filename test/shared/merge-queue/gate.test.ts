import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Decision, Gate, newGate } from '../../../src/shared/merge-queue/gate.ts';
import { sameLine } from '../../../src/shared/merge-queue/line.ts';

const entry = (id: string, more: { priority?: number; fix?: boolean } = {}) => ({
  id,
  priority: 5,
  fix: false,
  ...more,
});

/** A gate with these requests waiting, on a tip that passes. */
function gateOf(ids: string, tip: 'green' | 'unknown' = 'green'): Gate {
  const gate = new Gate(newGate(tip), { maxBatch: 50 });
  for (const id of ids) gate.add(entry(id));
  return gate;
}

const linesOf = (decisions: readonly Decision[]): string[] =>
  decisions.flatMap((decision) => (decision.kind === 'check' ? [decision.line.join('')] : []));

/** The running check of this line ends. */
function ends(gate: Gate, line: string, passed: boolean | undefined, report = `output of ${line}`): void {
  const check = gate.seen.running.find((running) => running.line.join('') === line);
  if (check === undefined) throw new Error(`${line} is not being checked`);
  gate.checked(check.key, passed === undefined ? undefined : { passed, report });
}

const batch = (gate: Gate) => gate.decide({ slots: 1 });
const wide = (gate: Gate) => gate.decide({ slots: 4 });

describe('a batch gate', () => {
  test('checks all that waits as one line, by priority then age, and lands it when that has passed', () => {
    const gate = gateOf('ab');
    gate.add(entry('c', { priority: 1 }));
    expect(linesOf(batch(gate))).toEqual(['cab']);
    expect(batch(gate)).toEqual([]);
    ends(gate, 'cab', true);
    expect(batch(gate)).toEqual([{ kind: 'land', line: ['c', 'a', 'b'] }]);
    gate.landed();
    expect(batch(gate)).toEqual([]);
    expect(gate.seen.entries).toEqual([]);
  });

  test('what arrives during a check waits for the next', () => {
    const gate = gateOf('a');
    batch(gate);
    gate.add(entry('b'));
    expect(batch(gate)).toEqual([]);
    ends(gate, 'a', true);
    batch(gate);
    gate.landed();
    expect(linesOf(batch(gate))).toEqual(['b']);
  });

  test('a failure is tried once more, and a flake lands as if nothing had been', () => {
    const gate = gateOf('abc');
    batch(gate);
    ends(gate, 'abc', false);
    expect(linesOf(batch(gate))).toEqual(['abc']);
    ends(gate, 'abc', true);
    expect(batch(gate)).toEqual([{ kind: 'land', line: ['a', 'b', 'c'] }]);
  });

  test('a failure that comes twice is divided; what passes lands at once, the culprit is ejected with its output', () => {
    const gate = gateOf('abc');
    const checked: string[] = [];
    const landed: string[] = [];
    const ejected: Decision[] = [];
    for (let decisions = batch(gate); decisions.length > 0; decisions = batch(gate)) {
      for (const decision of decisions) {
        if (decision.kind === 'check') {
          const line = decision.line.join('');
          checked.push(line);
          ends(gate, line, !line.includes('b'));
        } else if (decision.kind === 'land') {
          landed.push(decision.line.join(''));
          gate.landed();
        } else {
          ejected.push(decision);
        }
      }
    }
    // "b" alone stands on "a", which has landed: it is the same as "ab", and needs to fail once more only.
    expect(checked).toEqual(['abc', 'abc', 'ab', 'a', 'b', 'c']);
    expect(landed).toEqual(['a', 'c']);
    expect(ejected).toEqual([{ kind: 'eject', id: 'b', report: 'output of b' }]);
  });

  test('nobody is ejected by one flake, wherever in a division it comes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(40), fc.nat(20), (size, flake, bad) => {
        const gate = new Gate(newGate('green'), { maxBatch: 50 });
        for (let i = 0; i < size; i++) gate.add(entry(String(i)));
        let checks = 0;
        let landed = 0;
        for (let decisions = batch(gate); decisions.length > 0; decisions = batch(gate)) {
          for (const decision of decisions) {
            if (decision.kind === 'check') {
              const passed = checks++ !== flake && !decision.line.includes(String(bad));
              gate.checked(decision.key, { passed, report: '' });
            } else if (decision.kind === 'land') {
              landed += decision.line.length;
              gate.landed();
            } else expect(decision).toMatchObject({ kind: 'eject', id: String(bad) });
          }
        }
        expect(landed).toBe(bad < size ? size - 1 : size);
      }),
    );
  });

  test('bisecting k bad of b takes at most k·(⌈log2 b⌉+1)+1 checks besides retries, and ejects exactly them', () => {
    const batches = fc
      .integer({ min: 1, max: 50 })
      .chain((size) => fc.tuple(fc.constant(size), fc.subarray(Array.from({ length: size }, (_, i) => String(i)))));
    fc.assert(
      fc.property(batches, ([size, bad]) => {
        const gate = new Gate(newGate('green'), { maxBatch: 50 });
        for (let i = 0; i < size; i++) gate.add(entry(String(i)));
        let checks = 0;
        const ejected: string[] = [];
        for (let decisions = batch(gate); decisions.length > 0; decisions = batch(gate)) {
          for (const decision of decisions) {
            if (decision.kind === 'check') {
              if (!gate.seen.failed.some(({ line }) => sameLine(line, decision.line))) checks += 1;
              gate.checked(decision.key, { passed: !decision.line.some((id) => bad.includes(id)), report: '' });
            } else if (decision.kind === 'land') gate.landed();
            else if (decision.kind === 'eject') ejected.push(decision.id);
          }
        }
        expect(ejected.sort()).toEqual([...bad].sort());
        expect(checks).toBeLessThanOrEqual(bad.length * (Math.ceil(Math.log2(size)) + 1) + 1);
      }),
    );
  });

  test('a check that could not be run says nothing: the line is checked again, and nothing starts meanwhile', () => {
    const gate = gateOf('ab');
    batch(gate);
    ends(gate, 'ab', undefined);
    expect(gate.decide({ slots: 1, starts: false })).toEqual([]);
    expect(linesOf(batch(gate))).toEqual(['ab']);
    expect(gate.seen.failed).toEqual([]);
  });

  test('on a tip that nobody has checked, the tip is checked before anyone is blamed', () => {
    const gate = gateOf('a', 'unknown');
    for (let i = 0; i < 2; i++) {
      expect(linesOf(batch(gate))).toEqual(['a']);
      ends(gate, 'a', false);
    }
    expect(linesOf(batch(gate))).toEqual(['']);
    ends(gate, '', true);
    expect(batch(gate)).toEqual([{ kind: 'eject', id: 'a', report: 'output of a' }]);
  });

  test('on a tip that fails by itself nobody is blamed but a fix, and a fix that passes makes it green', () => {
    const gate = gateOf('a', 'unknown');
    for (let i = 0; i < 2; i++) {
      batch(gate);
      ends(gate, 'a', false);
    }
    for (let i = 0; i < 2; i++) {
      batch(gate);
      ends(gate, '', false);
    }
    expect(gate.seen.tip).toBe('red');
    const fixesOnly = () => gate.decide({ slots: 1, mayLand: ({ fix }) => fix });
    expect(fixesOnly()).toEqual([]);
    gate.add(entry('x', { fix: true }));
    gate.add(entry('y', { fix: true }));
    expect(linesOf(fixesOnly())).toEqual(['xy']);
    ends(gate, 'xy', false);
    fixesOnly();
    ends(gate, 'xy', false);
    expect(linesOf(fixesOnly())).toEqual(['x']);
    ends(gate, 'x', false);
    fixesOnly();
    ends(gate, 'x', false);
    expect(fixesOnly()[0]).toEqual({ kind: 'eject', id: 'x', report: 'output of x' });
    ends(gate, 'y', true);
    expect(fixesOnly()).toEqual([{ kind: 'land', line: ['y'] }]);
    gate.landed();
    expect(gate.seen.tip).toBe('green');
    expect(linesOf(batch(gate))).toEqual(['a']);
  });

  test('what passed on a tip that somebody else has moved is checked again', () => {
    const gate = gateOf('a');
    batch(gate);
    ends(gate, 'a', true);
    expect(batch(gate)).toEqual([{ kind: 'land', line: ['a'] }]);
    gate.moved();
    expect(linesOf(batch(gate))).toEqual(['a']);
    expect(gate.seen.tip).toBe('unknown');
  });

  test('what has passed together with something that may not land any more is checked again without it', () => {
    const gate = gateOf('a');
    gate.add(entry('b', { fix: true }));
    batch(gate);
    ends(gate, 'ab', true);
    const onlyFixes = { slots: 1, mayLand: ({ fix }: { fix: boolean }) => fix };
    expect(gate.decide(onlyFixes)).toMatchObject([{ kind: 'check', line: ['b'] }]);
    ends(gate, 'b', true);
    expect(gate.decide(onlyFixes)).toEqual([{ kind: 'land', line: ['b'] }]);
    gate.landed();
    expect(gate.decide(onlyFixes)).toEqual([]);
    expect(linesOf(batch(gate))).toEqual(['a']);
  });

  test('what conflicts with a request before it waits for that one only', () => {
    const gate = gateOf('abc');
    const [check] = batch(gate);
    if (check?.kind !== 'check') throw new Error('no check');
    gate.composed(check.key, ['a', 'c'], ['b']);
    ends(gate, 'ac', true);
    batch(gate);
    gate.landed();
    expect(linesOf(batch(gate))).toEqual(['b']);
  });
});

describe('a speculative gate', () => {
  test('checks what arrives on top of what is being checked, and beside it without that', () => {
    const gate = gateOf('a');
    expect(linesOf(wide(gate))).toEqual(['a']);
    gate.add(entry('b'));
    expect(linesOf(wide(gate))).toEqual(['ab', 'b']);
    gate.add(entry('c'));
    expect(linesOf(wide(gate))).toEqual(['abc']);
  });

  test('a pass lands what it stands on too, and what stands on it goes on', () => {
    const gate = gateOf('a');
    wide(gate);
    gate.add(entry('b'));
    wide(gate);
    gate.add(entry('c'));
    wide(gate);
    ends(gate, 'ab', true);
    const decisions = wide(gate);
    expect(decisions).toEqual([{ kind: 'land', line: ['a', 'b'] }]);
    gate.landed();
    expect(gate.seen.running.map(({ line }) => line)).toEqual([['c']]);
    // The check of "a" alone and of "b" without it are of no use any more.
    expect(wide(gate).map(({ kind }) => kind)).toEqual(['cancel', 'cancel']);
  });

  test('a failure takes only what stands on it: the line goes on without it, on what was checked ahead', () => {
    const gate = gateOf('a');
    wide(gate);
    gate.add(entry('b'));
    wide(gate);
    ends(gate, 'a', false);
    expect(linesOf(wide(gate))).toEqual(['a']);
    ends(gate, 'ab', false);
    ends(gate, 'b', true);
    expect(wide(gate)).toEqual([{ kind: 'land', line: ['b'] }]);
    gate.landed();
    expect(linesOf(wide(gate))).toEqual(['a']);
    ends(gate, 'a', false);
    expect(wide(gate)).toContainEqual({ kind: 'eject', id: 'a', report: 'output of a' });
  });

  test('a slot that is needed is taken from a check that only might be', () => {
    const gate = gateOf('a');
    for (const id of ['b', 'c']) {
      wide(gate);
      gate.add(entry(id));
    }
    wide(gate);
    expect(gate.seen.running.map(({ line }) => line.join(''))).toEqual(['a', 'ab', 'b', 'abc']);
    gate.add(entry('d'));
    const decisions = wide(gate);
    expect(linesOf(decisions)).toEqual(['abcd']);
    expect(gate.seen.running.map(({ line }) => line.join(''))).toEqual(['a', 'ab', 'abc', 'abcd']);
  });

  test('never runs more checks than there are slots, answers everyone, and lands nothing that is bad', () => {
    const scenario = fc.record({
      slots: fc.integer({ min: 1, max: 6 }),
      bad: fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
      choices: fc.infiniteStream(fc.nat(1_000)),
    });
    fc.assert(
      fc.property(scenario, ({ slots, bad, choices }) => {
        const gate = new Gate(newGate('green'), { maxBatch: 50 });
        const tip: string[] = [];
        const answered = new Set<string>();
        let coming = 0;
        const pick = (n: number): number => (choices.next().value ?? 0) % n;
        for (let step = 0; step < 2_000 && answered.size < bad.length; step++) {
          if (coming < bad.length && (pick(3) === 0 || gate.seen.running.length === 0))
            gate.add(entry(String(coming++)));
          else if (gate.seen.running.length > 0) {
            const check = gate.seen.running[pick(gate.seen.running.length)];
            if (check === undefined) continue;
            const sound = check.line.every((id) => bad[Number(id)] === false);
            gate.checked(check.key, { passed: sound, report: '' });
          }
          for (let decisions = gate.decide({ slots }); decisions.length > 0; decisions = gate.decide({ slots })) {
            expect(gate.seen.running.length).toBeLessThanOrEqual(slots);
            for (const decision of decisions) {
              if (decision.kind === 'land') {
                expect(decision.line.every((id) => bad[Number(id)] === false)).toBe(true);
                tip.push(...decision.line);
                gate.landed();
                decision.line.forEach((id) => answered.add(id));
              } else if (decision.kind === 'eject') {
                expect(bad[Number(decision.id)]).toBe(true);
                answered.add(decision.id);
              }
            }
          }
        }
        expect(answered.size).toBe(bad.length);
        expect(new Set(tip).size).toBe(tip.length);
      }),
      { numRuns: 200 },
    );
  });
});
