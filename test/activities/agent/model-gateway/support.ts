/** A gateway before a real server of either protocol, with both vendors' own SDKs as its clients. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach } from 'vitest';
import { createModelGateway, type ModelGateway } from '../../../../src/activities/agent/model-gateway/gateway.ts';
import { createModels } from '../../../../src/activities/llm/models.ts';
import type { Limits } from '../../../../src/shared/contracts/agent.ts';
import type { AgentMessage } from '../../../../src/shared/contracts/agent-run.ts';
import type { Budget } from '../../../../src/shared/contracts/budget.ts';
import { type LlmServer, type Recorded, type ScriptedAnswer, startLlmServer } from '../../../support/llm-server.ts';
import { createTestLog } from '../../../support/log.ts';
import { endpointTo } from '../../llm/support.ts';

export const TOKEN = 'token-of-this-task';
export const LIMITS: Limits = { turns: 10, tokens: 1_000_000, minutes: 10 };
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

export async function setUp(
  behind: 'openai' | 'anthropic',
  answer: ScriptedAnswer,
  options: { limits?: Limits; budget?: Budget; messages?: () => Promise<AgentMessage[]> } = {},
): Promise<{ provider: LlmServer; gateway: ModelGateway; openai: OpenAI; anthropic: Anthropic; url: string }> {
  const provider = await startLlmServer({ answer: () => answer });
  const models = createModels({
    endpoints: [endpointTo(provider, behind)],
    config: { idleSeconds: 5, firstTokenSeconds: 5 },
    log: createTestLog(),
  });
  const gateway = createModelGateway({
    token: TOKEN,
    model: 'agentswarm',
    maxOutputTokens: 2_000,
    limits: options.limits ?? LIMITS,
    budget: options.budget,
    ...(options.messages === undefined ? {} : { messages: options.messages }),
    ask: (request) =>
      models.complete({
        ...request,
        role: 'worker',
        run: { workflowId: 'run', firstRunId: 'root-1' },
        conversation: 'c',
        idempotencyKey: 'k',
        abandoned: new AbortController().signal,
        gate: () => Promise.resolve(),
      }),
  });
  const server: Server = createServer((request, response) => void gateway.handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
    void provider.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = { apiKey: TOKEN, maxRetries: 0 };
  return {
    provider,
    gateway,
    url,
    openai: new OpenAI({ ...client, baseURL: `${url}/v1` }),
    anthropic: new Anthropic({ ...client, baseURL: url }),
  };
}

export const asked = (provider: LlmServer): Recorded['body'] => provider.requests.at(-1)?.body ?? {};
