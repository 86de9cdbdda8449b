import { expect, test } from 'vitest';
import { createPricing } from '../../../src/activities/llm/prices.ts';
import { costUsd, type TokenCount } from '../../../src/shared/agent/usage.ts';
import { createTestLog } from '../../support/log.ts';
import { endpointTo } from './support.ts';

const tokens = (changes: Partial<TokenCount>): TokenCount => ({
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteInputTokens: 0,
  outputTokens: 0,
  ...changes,
});
const at = { openaiUrl: 'http://localhost:1/v1', anthropicUrl: 'http://localhost:1' };

test.each<[string, Partial<TokenCount>, number]>([
  ['plain input', { inputTokens: 1_000_000 }, 2],
  ['cached input', { inputTokens: 1_000_000, cachedInputTokens: 1_000_000 }, 0.5],
  ['written to the cache', { inputTokens: 1_000_000, cacheWriteInputTokens: 1_000_000 }, 2.5],
  ['output', { outputTokens: 1_000_000 }, 8],
  ['a mixture', { inputTokens: 1_000, cachedInputTokens: 600, cacheWriteInputTokens: 100, outputTokens: 50 }, 0.00155],
  ['more cached than there was', { inputTokens: 1_000_000, cachedInputTokens: 9_000_000 }, 0.5],
])('%s costs what its price says', (_, counted, usd) => {
  expect(costUsd(tokens(counted), { input: 2, cachedInput: 0.5, output: 8 })).toBeCloseTo(usd, 9);
});

test('cached input without a price of its own costs as much as other input', () => {
  const counted = tokens({ inputTokens: 1_000_000, cachedInputTokens: 1_000_000 });
  expect(costUsd(counted, { input: 2, output: 8 })).toBe(2);
});

test("a provider's own models are priced without being told", () => {
  const log = createTestLog();
  const endpoint = endpointTo(at, 'openai', { baseUrl: undefined, price: undefined });
  const cost = createPricing(log).cost(endpoint, 'gpt-4o', tokens({ inputTokens: 1_000_000, outputTokens: 1_000_000 }));
  expect(cost).toBeCloseTo(12.5, 6);
  expect(log.lines).toEqual([]);
});

test('a model that nobody knows counts as 0, which is said once', () => {
  const log = createTestLog();
  const pricing = createPricing(log);
  const endpoint = endpointTo(at, 'openai', { price: undefined });
  const costs = [1, 2].map(() => pricing.cost(endpoint, 'gpt-4o', tokens({ inputTokens: 1_000 })));
  expect(costs).toEqual([0, 0]);
  expect(log.lines.map((line) => line.message)).toEqual([expect.stringContaining('price unknown')]);
});
