import { describe, expect, test } from 'vitest';
import { isBetter } from '../../../src/shared/merge-queue/better.ts';

const failing = (name: string, ...signatures: string[]) => ({
  name,
  status: 'failed' as const,
  errors: signatures.map((signature) => ({ check: name, message: signature, signature })),
});
const passed = { name: 'lint', status: 'passed' as const, errors: [] };
const tip = [failing('types', 'a', 'b'), failing('tests', 'c'), passed];

describe('a fix of a branch that fails', () => {
  test.each([
    ['one of several errors is gone', [failing('types', 'a'), failing('tests', 'c'), passed], true],
    ['a whole check passes', [failing('types', 'a', 'b'), passed], true],
    ['nothing is gone', tip, false],
    ['an error came for each that went', [failing('types', 'a', 'd'), failing('tests', 'c')], false],
    ['fewer errors, of which one is new', [failing('types', 'd')], false],
    ['the same error in another check', [failing('lint', 'a')], false],
    ['a check that passed fails without saying how', [failing('lint'), failing('types', 'a')], false],
  ])('is better or not: %s', (_, checks, better) => {
    expect(isBetter(checks, tip)).toBe(better);
  });

  test('is not better where nothing is known of the branch', () => {
    expect(isBetter([failing('types', 'a')], [])).toBe(false);
  });
});
