import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandTime } from '../../../../src/activities/sandbox/tools/command-time.ts';

describe('the time of a command', () => {
  it.each([
    [120, Number.POSITIVE_INFINITY, 120_000, 'after 120 s, with all that it had started.'],
    [0.3, 60_000, 300, 'after 0.3 s, with all that it had started.'],
    [1_800, 90_500, 90_500, 'after 90.5 s, with all that it had started: your time limit is reached.'],
    [120, 0.2, 1, 'after 0 s, with all that it had started: your time limit is reached.'],
  ])('given %s s with %s ms left is %s ms', (given, left, timeoutMs, end) => {
    const time = commandTime(given, left);
    expect(time.timeoutMs).toBe(timeoutMs);
    expect(time.stopped.endsWith(end), time.stopped).toBe(true);
  });

  it('is never longer than what was given or what is left, and never none', () => {
    const seconds = fc.double({ min: 0.001, max: 1_800, noNaN: true });
    const left = fc.double({ min: 0.001, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(seconds, left, (given, timeLeftMs) => {
        const { timeoutMs } = commandTime(given, timeLeftMs);
        expect(timeoutMs).toBeGreaterThan(0);
        expect(timeoutMs).toBeLessThanOrEqual(Math.min(given * 1_000, timeLeftMs) + 1);
      }),
    );
  });
});
