import { expect, test } from 'vitest';
import { type Handoff, NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { boundedHandoff, boundedPaths } from '../../../src/shared/task/handoff-size.ts';

const handoff = (texts: Partial<Handoff>): Handoff => ({
  status: 'complete',
  summary: 'all done',
  concerns: [],
  suggestions: [],
  filesChanged: [],
  metrics: NO_METRICS,
  commit: 'a'.repeat(40),
  ...texts,
});

test('a handoff that fits stays as it is', () => {
  const small = handoff({ concerns: ['one', 'two'], suggestions: ['three'], filesChanged: ['a', 'b'] });
  expect(boundedHandoff(small, 12_000)).toEqual(small);
});

test('a long handoff keeps the start of everything within its bound', () => {
  const many = Array.from({ length: 50 }, (_, i) => `${i} ${'y'.repeat(3_000)}`);
  const files = Array.from({ length: 50_000 }, (_, i) => `node_modules/${i}.js`);
  const long = handoff({ summary: 's'.repeat(8_000), concerns: many, suggestions: many, filesChanged: files });
  for (const most of [300, 1_000, 12_000, 60_000]) {
    const { summary, concerns, suggestions, filesChanged, commit } = boundedHandoff(long, most);
    const texts = [summary, ...concerns, ...suggestions, ...filesChanged];
    expect(texts.join('').length).toBeLessThanOrEqual(most);
    expect(Math.min(summary.length, concerns.length, suggestions.length)).toBeGreaterThan(0);
    expect(commit).toBe('a'.repeat(40));
  }
});

test('paths are kept whole', () => {
  expect(boundedPaths(['ab', 'cd', 'e'], 4)).toEqual(['ab', 'cd']);
});
