import type { Endpoint } from '../../../src/activities/llm/endpoints.ts';
import type { CompletionRequest } from '../../../src/activities/llm/providers/provider.ts';
import { toolDefinitions } from '../../../src/activities/llm/providers/tools.ts';
import { ApiKey } from '../../../src/activities/llm/secret.ts';
import type { ThinkRequest } from '../../../src/shared/contracts/agent.ts';
import type { LlmServer } from '../../support/llm-server.ts';

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
