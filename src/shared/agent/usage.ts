/** Tokens and money of one LLM call. Pure. */
import type { Price } from '../config/worker-config.ts';
import type { Usage } from '../contracts/agent.ts';

/** As a provider counts: `cachedInputTokens` and `cacheWriteInputTokens` are parts of `inputTokens`. */
export type TokenCount = Usage & { cacheWriteInputTokens: number };

/**
 * What writing to a provider's prompt cache costs, as a multiple of plain input. Only Anthropic bills it.
 * Source: Anthropic's prompt caching guide, five-minute entries.
 */
const CACHE_WRITE_FACTOR = 1.25;

/** USD of one call by a price in USD per million tokens. Cached input costs as much as other input unless given. */
export function costUsd(tokens: TokenCount, price: Price): number {
  const cached = Math.min(tokens.cachedInputTokens, tokens.inputTokens);
  const written = Math.min(tokens.cacheWriteInputTokens, tokens.inputTokens - cached);
  const plain = tokens.inputTokens - cached - written;
  const micros =
    plain * price.input +
    cached * (price.cachedInput ?? price.input) +
    written * price.input * CACHE_WRITE_FACTOR +
    tokens.outputTokens * price.output;
  return micros / 1_000_000;
}

/** For endpoints that report no usage: four characters a token, which is near for English and code. */
export const estimateTokens = (characters: number): number => Math.ceil(characters / 4);
