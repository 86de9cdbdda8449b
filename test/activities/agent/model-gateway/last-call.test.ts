import { describe, expect, test } from 'vitest';
import { LastCall } from '../../../../src/activities/agent/model-gateway/last-call.ts';

describe('what an external agent was answered', () => {
  test('is nothing where it asked nothing', () => {
    const { answered, newestText, unanswered } = new LastCall();
    expect([answered, newestText, unanswered]).toEqual([0, undefined, undefined]);
  });

  test('is the newest answer that says something', () => {
    const calls = new LastCall();
    calls.begin(true).answered('First.', 1);
    calls.begin(true).answered(' Done. ', 0);
    calls.begin(true).answered('', 1);
    expect([calls.newestText, calls.answered, calls.unanswered]).toEqual(['Done.', 3, undefined]);
  });

  test('is not all where the last call was refused, and all again once another was answered', () => {
    const calls = new LastCall();
    calls.begin(true).answered('I begin.', 1);
    calls.begin(true).failed('It is 400.');
    expect(calls.unanswered).toBe('It is 400.');
    calls.begin(true).answered('Done.', 0);
    expect(calls.unanswered).toBeUndefined();
  });

  test('does not end with a call that it did not wait for, unless it had its last words before', () => {
    const calls = new LastCall();
    calls.begin(true).answered('I begin.', 1);
    const second = calls.begin(true);
    expect(calls.unanswered).toMatch(/did not wait/);
    second.failed(undefined);
    expect(calls.unanswered).toMatch(/did not wait/);
    calls.begin(true).answered('Done.', 0);
    calls.begin(true).failed(undefined);
    calls.begin(true);
    expect(calls.unanswered).toBeUndefined();
  });

  test('is not judged by titles and summaries, which offer no tools', () => {
    const calls = new LastCall();
    const title = calls.begin(false);
    calls.begin(true).answered('Done.', 0);
    title.answered('A title', 0);
    calls.begin(false).failed('It is 400.');
    expect([calls.newestText, calls.answered, calls.unanswered]).toEqual(['Done.', 2, undefined]);
  });

  test('is judged by all calls of one that never offers tools', () => {
    const calls = new LastCall();
    calls.begin(false).answered('An edit.', 0);
    expect(calls.newestText).toBe('An edit.');
    calls.begin(false).failed('It is 400.');
    expect(calls.unanswered).toBe('It is 400.');
  });

  test('is judged by what could not be read, whatever it was', () => {
    const calls = new LastCall();
    calls.begin(true).answered('I begin.', 1);
    calls.begin(undefined).failed('It is not JSON.');
    expect(calls.unanswered).toBe('It is not JSON.');
    calls.begin(true).answered('Done.', 0);
    expect(calls.unanswered).toBeUndefined();
  });
});
