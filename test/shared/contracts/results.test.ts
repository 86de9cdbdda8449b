/** What an operator may complete an activity with by hand: whatever is no result of it is seen as such. */
import { describe, expect, test } from 'vitest';
import { RESULTS, whyNoResult } from '../../../src/shared/contracts/results.ts';

/** Those that give something. */
const givers = Object.entries(RESULTS).filter(([, schema]) => !schema.safeParse(null).success);
const SHA = 'a'.repeat(40);
const call = { id: '1', name: 'bash', arguments: '{}' };
const result = { callId: '1', name: 'bash', status: 'ok', output: '' };

describe('whyNoResult', () => {
  test('knows every activity that gives something', () => {
    expect(givers.length).toBeGreaterThan(20);
  });

  test.each(givers.map(([name]) => name))('%s gives none of what people type', (name) => {
    for (const typed of [{}, null, undefined, 1, 'done', { foo: 1 }, [1], true]) {
      expect(whyNoResult(name, { calls: [call], chains: [{}], act: { calls: [call] } }, typed)).toBeTypeOf('string');
    }
  });

  test('names the keys', () => {
    expect(whyNoResult('runChecks', {}, { verdict: 'passed', commit: SHA })).toContain('checks');
    expect(whyNoResult('holdSandbox', {}, { end: 'over' })).toContain('end');
  });

  test.each([
    ['act', { calls: [call] }, { results: [result] }, { results: [] }],
    ['inspect', { calls: [call, call] }, { results: [result, result] }, { results: [result] }],
    ['actAndThink', { act: { calls: [call] } }, { acted: { results: [result] } }, { acted: { results: [] } }],
    ['describeChains', { chains: [{}] }, [{ kind: 'running' }], []],
  ])('%s answers for each that was asked for', (name, request, whole, short) => {
    expect(whyNoResult(name, request, whole)).toBeUndefined();
    expect(whyNoResult(name, request, short)).toContain('one answer for each');
  });

  test('takes what a later version adds, and anything of those whose result nobody reads', () => {
    expect(whyNoResult('readTip', {}, { tip: SHA, green: null, more: 1 })).toBeUndefined();
    for (const typed of [{}, null, undefined]) expect(whyNoResult('enqueueMerge', {}, typed)).toBeUndefined();
  });
});
