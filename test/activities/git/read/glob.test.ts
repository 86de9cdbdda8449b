import { describe, expect, it } from 'vitest';
import { matchesGlob } from '../../../../src/activities/git/read/glob.ts';

const rows: [pattern: string, path: string, matches: boolean][] = [
  ['*.ts', 'a.ts', true],
  ['*.ts', 'src/deep/a.ts', true],
  ['*.ts', 'a.tsx', false],
  ['a?c', 'abc', true],
  ['a?c', 'ac', false],
  ['?', '→', true],
  ['src/*.ts', 'src/a.ts', true],
  ['src/*.ts', 'src/b/a.ts', false],
  ['src/**/*.ts', 'src/a.ts', true],
  ['src/**/*.ts', 'src/b/c/a.ts', true],
  ['**/test/*', 'a/b/test/x', true],
  ['**', 'a/b', true],
  ['src/**', 'src/a/b', true],
  ['src/**', 'lib/a', false],
  ['*', 'a/b', true],
  ['[ab].ts', 'a.ts', false],
  ['[ab].ts', '[ab].ts', true],
  ['./src/*', 'src/a', true],
  ['*a*b*c', 'xxaxxbxxc', true],
  ['*a*b*c', 'xxaxxcxxb', false],
  ['', 'a', false],
];

describe('matchesGlob', () => {
  for (const [pattern, path, matches] of rows) {
    it(`"${pattern}" ${matches ? 'matches' : 'does not match'} "${path}"`, () => {
      expect(matchesGlob(pattern, path)).toBe(matches);
    });
  }

  it('takes a pattern that would make a regular expression run for years', () => {
    const startedAt = performance.now();
    expect(matchesGlob(`${'*a'.repeat(240)}b`, 'a'.repeat(4_000))).toBe(false);
    expect(matchesGlob(`${'**/a/'.repeat(90)}b`, 'a/'.repeat(2_000))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});
