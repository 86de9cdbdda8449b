/** Three ways to get an answer from the same endpoints through the same clients. */
import type { Endpoint } from '../../src/activities/llm/endpoints.ts';
import { ProviderFailure } from '../../src/activities/llm/failures.ts';
import { createModels } from '../../src/activities/llm/models.ts';
import { createLlmProvider } from '../../src/activities/llm/providers/create.ts';
import { ApiKey } from '../../src/activities/llm/secret.ts';
import type { Message } from '../../src/shared/contracts/agent.ts';

export type Ask = { request: number; conversation: string };
export type Answer = { text: string; endpoint: string };
/** Rejects when the request came to nothing. */
export type Strategy = (ask: Ask) => Promise<Answer>;

export const IDLE_MS = 500;
const TIMES = { idleMs: IDLE_MS, firstTokenMs: 60_000 };
const MODEL = 'model';

export const endpointAt = (name: string, baseUrl: string): Endpoint => ({
  name,
  provider: 'openai',
  baseUrl,
  key: new ApiKey('bench', 'the benchmark'),
  models: { default: MODEL },
  modelsSource: 'the benchmark',
  weight: 1,
  price: { input: 1, output: 1 },
  prices: {},
  limits: {},
});

const never = new AbortController().signal;

function body({ request }: Ask) {
  const messages: Message[] = [
    { role: 'system', text: 'You are a benchmark.' },
    { role: 'user', text: String(request) },
  ];
  return { messages, tools: [], maxOutputTokens: 1_000, idempotencyKey: `bench/${request}`, signal: never };
}

export function viaRouter(endpoints: readonly Endpoint[], random: () => number): Strategy {
  const quiet = (): void => undefined;
  const models = createModels({
    endpoints,
    config: { idleSeconds: TIMES.idleMs / 1_000, firstTokenSeconds: TIMES.firstTokenMs / 1_000 },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    random,
  });
  return async (ask) => {
    const { completion, endpoint } = await models.complete({
      ...body(ask),
      role: 'worker',
      run: { workflowId: 'bench', firstRunId: '1' },
      conversation: ask.conversation,
      abandoned: never,
      gate: () => Promise.resolve(),
    });
    return { text: completion.text, endpoint: endpoint.name };
  };
}

/** One endpoint, asked directly. */
export function direct(endpoint: Endpoint): Strategy {
  const provider = createLlmProvider(endpoint);
  return async (ask) => {
    const { text } = await provider.complete({ ...body(ask), ...TIMES, model: MODEL });
    return { text, endpoint: endpoint.name };
  };
}

/** The next in turn; when it fails, the one after that, until each has been asked once. */
export function roundRobin(endpoints: readonly Endpoint[]): Strategy {
  const all = endpoints.map(direct);
  let next = 0;
  return async (ask) => {
    let last: unknown;
    const first = next++;
    for (let tries = 0; tries < all.length; tries++) {
      const strategy = all[(first + tries) % all.length] as Strategy;
      try {
        return await strategy(ask);
      } catch (error) {
        if (!(error instanceof ProviderFailure)) throw error;
        last = error;
      }
    }
    throw last;
  };
}
