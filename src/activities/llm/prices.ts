/** What a call cost: by the endpoint's configured price, else by the public price list in a package, offline. */
import { calcPrice } from '@pydantic/genai-prices';
import { costUsd, type TokenCount } from '../../shared/agent/usage.ts';
import type { Log } from '../support/log.ts';
import type { Endpoint } from './endpoints.ts';

export interface Pricing {
  /** USD; 0 when nobody knows the price, which is logged once for each model. */
  cost(endpoint: Endpoint, model: string, tokens: TokenCount): number;
}

export function createPricing(log: Log): Pricing {
  const unknown = new Set<string>();
  return {
    cost(endpoint, model, tokens) {
      const own = endpoint.prices[model] ?? endpoint.price;
      if (own !== undefined) return costUsd(tokens, own);
      const listed = listedCost(endpoint, model, tokens);
      if (listed !== null) return listed;
      const name = `${endpoint.name}/${model}`;
      if (!unknown.has(name)) {
        unknown.add(name);
        log.warn({ endpoint: endpoint.name, model }, 'price unknown: calls count as 0 USD; set price of the endpoint');
      }
      return 0;
    },
  };
}

function listedCost(endpoint: Endpoint, model: string, tokens: TokenCount): number | null {
  const usage = {
    input_tokens: tokens.inputTokens,
    cache_read_tokens: tokens.cachedInputTokens,
    cache_write_tokens: tokens.cacheWriteInputTokens,
    output_tokens: tokens.outputTokens,
  };
  const where =
    endpoint.baseUrl === undefined ? { providerId: endpoint.provider } : { providerApiUrl: endpoint.baseUrl };
  try {
    return calcPrice(usage, model, where)?.total_price ?? null;
  } catch {
    // The list knows the model, but not how to price this kind of use: the same as not knowing it.
    return null;
  }
}
