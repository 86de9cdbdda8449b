/**
 * The models as one thing: the router, the providers' clients and the prices. One for each worker process, shared by
 * all its agents and whatever else calls models for them.
 */
import type { Message } from '../../shared/contracts/agent.ts';
import { estimateTokens, type TokenCount } from '../../shared/llm-usage.ts';
import type { Config } from '../../shared/config.ts';
import type { Log } from '../log.ts';
import type { Endpoint } from './endpoints.ts';
import { type Answered, completeSomewhere, type FailoverRequest } from './failover.ts';
import { createPricing } from './prices.ts';
import { createProvider } from './providers/create.ts';
import { type Clock, Router } from './router/router.ts';

export type ModelsOptions = {
  /** Checked: each has a model for the roles that it serves. */
  endpoints: readonly Endpoint[];
  /** Names of those that could not be reached when they were checked. */
  unreachable?: ReadonlySet<string>;
  config: Pick<Config['llm'], 'idleSeconds' | 'firstTokenSeconds'>;
  log: Log;
  clock?: Clock;
  random?: () => number;
};

export type ModelRequest = Omit<FailoverRequest, 'idleMs' | 'firstTokenMs' | 'estimatedTokens'>;

export type ModelAnswer = Omit<Answered, 'lease'> & { tokens: TokenCount; costUsd: number };

export interface Models {
  readonly router: Router;
  /** One call, answered whole, as `completeSomewhere` has it; counted and priced. */
  complete(request: ModelRequest): Promise<ModelAnswer>;
}

export function createModels(options: ModelsOptions): Models {
  const { endpoints, config, log, random } = options;
  const router = new Router(options);
  const providers = new Map(endpoints.map((endpoint) => [endpoint, createProvider(endpoint)]));
  const pricing = createPricing(log);
  const limitsTokens = endpoints.some(({ limits }) => limits.tokensPerMinute !== undefined);

  return {
    router,
    async complete(request) {
      const { lease, ...answered } = await completeSomewhere(
        {
          ...request,
          idleMs: config.idleSeconds * 1_000,
          firstTokenMs: config.firstTokenSeconds * 1_000,
          estimatedTokens: limitsTokens ? tokensOf(request.messages) : 0,
        },
        { router, providers, log, ...(random === undefined ? {} : { random }) },
      );
      const { completion, endpoint, model } = answered;
      const tokens = completion.tokens ?? estimate(answered, request.messages);
      const costUsd = pricing.cost(endpoint, model, tokens);
      const { firstTokenMs } = completion;
      lease.end({ kind: 'answered', firstTokenMs, tokens, countedTokens: countedTokens(endpoint, tokens), costUsd });
      return { ...answered, tokens, costUsd };
    },
  };
}

/** Source: Anthropic's and OpenAI's guides on rate limits; the former does not count what its cache has read. */
function countedTokens({ provider }: Endpoint, tokens: TokenCount): number {
  const input = provider === 'anthropic' ? tokens.inputTokens - tokens.cachedInputTokens : tokens.inputTokens;
  return input + tokens.outputTokens;
}

const tokensOf = (messages: readonly Message[]): number => estimateTokens(JSON.stringify(messages).length);

function estimate({ completion }: Pick<Answered, 'completion'>, messages: readonly Message[]): TokenCount {
  return {
    inputTokens: tokensOf(messages),
    cachedInputTokens: 0,
    cacheWriteInputTokens: 0,
    outputTokens: estimateTokens(completion.text.length + JSON.stringify(completion.toolCalls).length),
  };
}
