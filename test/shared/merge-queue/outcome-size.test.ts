import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { boundedOutcome, boundedOutcomes } from '../../../src/shared/merge-queue/outcome-size.ts';

const SHA = 'a'.repeat(40);
const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
const conflicted = (files: string[]): MergeOutcome => ({
  kind: 'conflicted',
  files,
  conflicts: files.slice(0, 50).map((path) => ({ path, kind: 'content', detail: 'both sides' })),
  tip: SHA,
});
const paths = (count: number): string[] => Array.from({ length: count }, (_, i) => `src/some/folder/file-${i}.ts`);

test('what fits stays as it is', () => {
  const outcomes: MergeOutcome[] = [conflicted(paths(20)), { kind: 'landed', commit: SHA }, { kind: 'empty' }];
  expect(boundedOutcomes(outcomes)).toEqual(outcomes);
});

test('a conflict of thousands of files names the first ones and says how many there are beside them', () => {
  const all = paths(60_000);
  const [outcome] = boundedOutcomes([conflicted(all)]);
  if (outcome?.kind !== 'conflicted') throw new Error('it is no conflict any more');
  expect(bytesOf(outcome)).toBeLessThan(64_000);
  expect(outcome.files).toEqual(all.slice(0, outcome.files.length));
  expect(outcome.files.length + (outcome.more ?? 0)).toBe(all.length);
  expect(outcome.conflicts?.length).toBe(50);
  // What is cut once more counts from the first cut on.
  const again = boundedOutcome(outcome, 1_200);
  if (again.kind !== 'conflicted') throw new Error('it is no conflict any more');
  expect(again.files.length + (again.more ?? 0)).toBe(all.length);
});

test('the long ones of a batch give way to the short ones, and a batch of 512 fits a payload', () => {
  const many = [...Array.from({ length: 511 }, () => conflicted(paths(3_000))), conflicted(['one.ts'])];
  const bounded = boundedOutcomes(many);
  expect(bytesOf(bounded)).toBeLessThanOrEqual(1_000_000);
  expect(bounded.at(-1)).toEqual(many.at(-1));
  expect(bounded.every((outcome) => MergeOutcome.safeParse(outcome).success)).toBe(true);
});

test('a text that is cut says by how much, a path that is too long keeps its end', () => {
  const refused = boundedOutcome({ kind: 'refused', reason: 'no '.repeat(1_000), because: 'hook' }, 1_000);
  expect(refused).toMatchObject({ kind: 'refused', because: 'hook' });
  const [, begin = '', left = ''] =
    /^((?:no )+n?o?)… \((\d+) characters are left out\)$/.exec(refused.kind === 'refused' ? refused.reason : '') ?? [];
  expect(begin.length + Number(left)).toBe(3_000);
  const deep = boundedOutcome(conflicted([`${'deep/'.repeat(1_000)}file.ts`]), 1_000);
  expect(deep).toMatchObject({ files: [expect.stringMatching(/^….*deep\/file\.ts$/)] });
});

test('whatever they are, no outcome is lost, none is longer than all may be, and each is what it was', () => {
  const text = fc.string({ unit: 'binary', maxLength: 400 });
  const lost = fc.record({
    path: text,
    count: fc.integer({ min: 1, max: 9 }),
    sample: fc.array(text, { maxLength: 3 }),
    from: fc.array(fc.constant({ commit: SHA }), { maxLength: 2 }),
  });
  const losts = fc.array(lost, { minLength: 1, maxLength: 8 });
  const outcome: fc.Arbitrary<MergeOutcome> = fc.oneof(
    fc.array(text, { minLength: 1, maxLength: 15 }).map(conflicted),
    losts.map((each) => ({ kind: 'landed' as const, commit: SHA, lost: each })),
    losts.map((each) => ({ kind: 'held' as const, lost: each })),
    text.map((reason) => ({ kind: 'ejected' as const, reason })),
  );
  fc.assert(
    fc.property(
      fc.array(outcome, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 500, max: 2_000 }),
      (all, each) => {
        const bounded = boundedOutcomes(all, each * all.length);
        expect(bytesOf(bounded)).toBeLessThanOrEqual(each * all.length + 1);
        expect(bounded.map(({ kind }) => kind)).toEqual(all.map(({ kind }) => kind));
        expect(bounded.every((one) => MergeOutcome.safeParse(one).success)).toBe(true);
      },
    ),
  );
});
