import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkRef, isRefName, tipRef } from '../../../src/activities/git/names.ts';

const allows = (ref: string): boolean => spawnSync('git', ['check-ref-format', ref]).status === 0;

/** Parts that the rules speak of, put together at random. */
const parts = [
  'a',
  'B',
  '.',
  '..',
  '/',
  '-',
  '@',
  '{',
  '@{',
  '~',
  '^',
  ':',
  '?',
  '*',
  '[',
  '\\',
  ' ',
  '.lock',
  'lock',
  '\t',
  '\u007f',
  'é',
  '+',
  '(',
  '|',
  ';',
  '$',
  "'",
  '"',
  '%',
  'HEAD',
  'refs',
  '\u200b',
];

test('a name is allowed exactly when git allows it', () => {
  const name = fc
    .array(fc.constantFrom(...parts), { minLength: 1, maxLength: 6 })
    .map((each) => `refs/${each.join('')}`);
  fc.assert(
    fc.property(name, (ref) => {
      expect({ ref, allowed: isRefName(ref) }).toEqual({ ref, allowed: allows(ref) });
    }),
    { numRuns: 400, seed: 7 },
  );
});

test('what is not below refs/, an option as branch, and HEAD as branch are refused with words that can be printed', () => {
  for (const ref of [
    'main',
    'HEAD',
    '/refs/x',
    'refs/heads/-x',
    'refs/heads/HEAD',
    'refs/heads/',
    '',
    'refs/heads/a\u0000b',
  ])
    expect(() => checkRef(ref)).toThrow(/git does not allow the name/);
  expect(() => checkRef('refs/heads/\u001b[2J')).toThrow(/"\?\[2J"/);
  checkRef('refs/heads/agentswarm/run-1');
});

test('the ref of any tip is allowed', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (branch) => {
      fc.pre(isRefName(`refs/heads/${branch}`));
      expect(isRefName(tipRef(branch))).toBe(true);
    }),
    { seed: 7 },
  );
});
