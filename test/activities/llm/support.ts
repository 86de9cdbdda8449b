import { afterEach } from 'vitest';
import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import { ProviderFailure } from '../../../src/activities/llm/failures.ts';
import type { CompletionRequest } from '../../../src/activities/llm/providers/provider.ts';
import { toolDefinitions } from '../../../src/activities/llm/providers/tools.ts';
import type { Clock } from '../../../src/activities/llm/router/router.ts';
import { ApiKey } from '../../../src/activities/llm/secret.ts';
import type { ThinkRequest } from '../../../src/shared/contracts/agent.ts';
import { type LlmServer, type LlmServerOptions, startLlmServer } from '../../support/llm-server.ts';
import { thrownBy } from '../../support/thrown.ts';

/** Time that passes when it is told to. */
export class ManualClock implements Clock {
  #now: number;
  #timers: { at: number; call: () => void }[] = [];

  constructor(now = 1_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Calls what is due on the way, in the order of its times. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
    }
    this.#now = end;
  }
}

export const KEY = 'canary-9f3b2c71d0-key';

export function endpointTo(
  server: Pick<LlmServer, 'openaiUrl' | 'anthropicUrl'>,
  provider: 'openai' | 'anthropic',
  changes: Partial<Endpoint> = {},
): Endpoint {
  return {
    name: provider,
    provider,
    baseUrl: provider === 'openai' ? server.openaiUrl : server.anthropicUrl,
    key: new ApiKey(KEY, 'TEST_KEY'),
    models: { default: 'model-a' },
    modelsSource: 'TEST_MODEL',
    weight: 1,
    price: { input: 1, cachedInput: 0.1, output: 10 },
    prices: {},
    limits: {},
    ...changes,
  };
}

export function completionRequest(changes: Partial<CompletionRequest> = {}): CompletionRequest {
  return {
    model: 'model-a',
    messages: [
      { role: 'system', text: 'You are a test.' },
      { role: 'user', text: 'Say hello.' },
    ],
    tools: toolDefinitions(['bash', 'read']),
    maxOutputTokens: 1_000,
    idempotencyKey: 'run/a.1/agent/f1/1',
    signal: new AbortController().signal,
    idleMs: 2_000,
    firstTokenMs: 10_000,
    ...changes,
  };
}

export function thinkRequest(changes: Partial<ThinkRequest> = {}): ThinkRequest {
  return {
    role: 'worker',
    turn: 1,
    messageCount: 2,
    conversation: 0,
    tools: ['bash', 'submit_handoff'],
    agent: { workflowId: 'run/a.1/agent', firstRunId: 'first-1' },
    ancestors: [{ workflowId: 'run', firstRunId: 'root-1' }],
    maxOutputTokens: 1_000,
    ...changes,
  };
}

/** Servers of a test, which are closed after it. */
export function useLlmServers(): (options?: LlmServerOptions) => Promise<LlmServer> {
  const servers: LlmServer[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
  return async (options = {}) => {
    const server = await startLlmServer(options);
    servers.push(server);
    return server;
  };
}

/** Throws what else went wrong, or that nothing did. */
export async function failureOf(promise: Promise<unknown>): Promise<ProviderFailure> {
  const error = await thrownBy(promise);
  if (!(error instanceof ProviderFailure)) throw error;
  return error;
}
