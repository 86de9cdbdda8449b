/**
 * The models as one thing: the router, the providers' clients and the prices. One for each worker process, shared by
 * all its agents and whatever else calls models for them.
 */
import type { Message } from '../../shared/contracts/agent.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { estimateTokens, type TokenCount } from '../../shared/agent/usage.ts';
import type { Config } from '../../shared/config/worker-config.ts';
import type { Log } from '../support/log.ts';
import type { Endpoint } from './endpoints.ts';
import { type Answered, completeSomewhere, type FailoverRequest } from './failover.ts';
import type { LlmMetrics } from './metrics.ts';
import { createPricing } from './prices.ts';
import { createProvider } from './providers/create.ts';
import { type Clock, Router } from './router/router.ts';
import type { WaitNews } from './wait-news.ts';
import { waitingReason } from './waiting.ts';

export type ModelsOptions = {
  /** Checked: each has a model for the roles that it serves. */
  endpoints: readonly Endpoint[];
  /** Names of those that could not be reached when they were checked. */
  unreachable?: ReadonlySet<string>;
  config: Pick<Config['llm'], 'idleSeconds' | 'firstTokenSeconds'>;
  log: Log;
  clock?: Clock;
  metrics?: LlmMetrics;
  /** Told whose calls wait. */
  waits?: WaitNews;
  random?: () => number;
};

export type ModelRequest = Omit<FailoverRequest, 'idleMs' | 'firstTokenMs' | 'estimatedTokens'> & {
  /** The root planner of the run that it is for. */
  run: Chain;
};

export type ModelAnswer = Omit<Answered, 'lease'> & { tokens: TokenCount; costUsd: number };

export interface Models {
  readonly router: Router;
  /** One call, answered whole, as `completeSomewhere` has it; counted and priced. */
  complete(request: ModelRequest): Promise<ModelAnswer>;
}

export function createModels(options: ModelsOptions): Models {
  const { endpoints, config, log, random, metrics, waits } = options;
  const router = new Router(options);
  const providers = new Map(endpoints.map((endpoint) => [endpoint, createProvider(endpoint)]));
  const pricing = createPricing(log);
  const limitsTokens = endpoints.some(({ limits }) => limits.tokensPerMinute !== undefined);

  return {
    router,
    async complete({ run, ...request }) {
      const wait = waits?.of(run);
      const { lease, ...answered } = await completeSomewhere(
        {
          ...request,
          onWaiting(waiting) {
            if (waiting === undefined) wait?.over();
            else wait?.waits(waiting.since, waitingReason(waiting));
            request.onWaiting?.(waiting);
          },
          idleMs: config.idleSeconds * 1_000,
          firstTokenMs: config.firstTokenSeconds * 1_000,
          estimatedTokens: limitsTokens ? tokensOf(request.messages) : 0,
        },
        {
          router,
          providers,
          log,
          ...(random === undefined ? {} : { random }),
          onFailure: ({ endpoint, model }, kind) => metrics?.failed({ endpoint: endpoint.name, model }, kind),
        },
      ).finally(() => wait?.over());
      const { completion, endpoint, model } = answered;
      const tokens = completion.tokens ?? estimate(answered, request.messages);
      const costUsd = pricing.cost(endpoint, model, tokens);
      const { firstTokenMs } = completion;
      metrics?.answered({ endpoint: endpoint.name, model }, { ...answered, firstTokenMs, tokens, costUsd });
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
