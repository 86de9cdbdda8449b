import { describe, expect, test } from 'vitest';
import { gateTerms, keepGate } from '../../../src/shared/merge-queue/gate-terms.ts';
import { DEFAULT_RUN_SETTINGS } from '../../../src/shared/contracts/run-settings.ts';

const check = { name: 'test', command: 'npm test', quick: false, timeoutMinutes: 10 };
const terms = (more: Partial<typeof DEFAULT_RUN_SETTINGS>) => gateTerms({ ...DEFAULT_RUN_SETTINGS, ...more });

describe('how the work of a run is checked before it lands', () => {
  test('as one batch where there are checks, and not at all where there are none', () => {
    expect(terms({ checks: [check] })).toEqual({ mode: 'batch', slots: 4, checks: [check], setup: null });
    expect(terms({})).toBeUndefined();
  });

  test('as the settings say, by the checks that are detected where none are named', () => {
    expect(terms({ checks: [check], merge: { gate: 'none' } })).toBeUndefined();
    expect(terms({ merge: { gate: 'speculative', slots: 2 } })).toMatchObject({
      mode: 'speculative',
      slots: 2,
      checks: 'detect',
    });
  });

  test('a run cannot do without the gate of its repository, and is told so; it may have another one', () => {
    const repository = { merge: { gate: 'batch' as const } };
    const kept = keepGate({ maxWorkers: 2, merge: { gate: 'none', slots: 3 } }, repository);
    expect(kept.settings).toEqual({ maxWorkers: 2, merge: { gate: 'batch', slots: 3 } });
    expect(kept.note).toContain('cannot set to "none"');
    for (const gate of ['batch', 'speculative'] as const) {
      expect(keepGate({ merge: { gate } }, repository)).toEqual({ settings: { merge: { gate } } });
    }
    expect(keepGate({ merge: { gate: 'none' } }, {})).toEqual({ settings: { merge: { gate: 'none' } } });
    expect(keepGate(undefined, repository)).toEqual({ settings: undefined });
  });
});
