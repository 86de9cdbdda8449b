/**
 * The models as an HTTP service for one task's external agent: OpenAI's and Anthropic's protocols, the router behind
 * them. Invariants:
 * 1. Nothing is asked of a model without the token of this task, which opens nothing else.
 * 2. Every call is counted, and none is made once a limit or the budget of the task is reached.
 * 3. A client gets an answer whole or none: what broke half-way at a provider was asked anew by the router.
 */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ZodError } from 'zod';
import type { Limits } from '../../../shared/contracts/agent.ts';
import type { AgentMessage } from '../../../shared/contracts/agent-run.ts';
import type { Budget } from '../../../shared/contracts/budget.ts';
import { type AgentMetrics, NO_METRICS } from '../../../shared/contracts/task.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../../shared/base/failures.ts';
import { estimateTokens } from '../../../shared/agent/usage.ts';
import { LOOP_TEXT } from '../../../shared/agent/text.ts';
import type { ModelAnswer } from '../../llm/models.ts';
import { Allowance } from './allowance.ts';
import { anthropic } from './anthropic.ts';
import { Asides } from './asides.ts';
import { openai } from './openai.ts';
import { type GatewayAnswer, GatewayRefusal, type GatewayRequest, type Protocol, sendJson } from './wire.ts';

const MAX_BODY_BYTES = 32 * 1024 * 1024;
const KEEP_ALIVE_MS = 10_000;

export type ModelGatewayOptions = {
  /** Of this task alone; what an agent sends as its API key. */
  token: string;
  /** What is told to those who ask for a list; any name is taken. */
  model: string;
  maxOutputTokens: number;
  limits: Limits;
  /** What earlier attempts of the same agent have used. */
  used?: AgentMetrics;
  /** Its share of the run's budget, earlier attempts included. */
  budget?: Budget | undefined;
  /** What people have said to it, told or not; asked before each call. */
  said?: () => Promise<readonly AgentMessage[]>;
  ask(request: Omit<GatewayRequest, 'stream'> & { maxOutputTokens: number; signal: AbortSignal }): Promise<ModelAnswer>;
};

export type ModelGateway = {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Calls so far, those of earlier attempts included. */
  readonly metrics: AgentMetrics;
  /** What those may cost that are not answered yet; absent: there are none. */
  readonly unanswered: Budget | undefined;
  /** Which limit has been met, as a sentence. */
  readonly reached: string | undefined;
  /** Ids of what people said, as far as it was told. */
  readonly told: readonly string[];
};

export function createModelGateway(options: ModelGatewayOptions): ModelGateway {
  const token = digest(options.token);
  const allowance = new Allowance({
    limits: options.limits,
    budget: options.budget,
    used: options.used ?? NO_METRICS,
  });
  const asides = new Asides();
  const told: string[] = [];

  /** Who cannot be asked what people say is asked again before the next call. */
  async function listen(): Promise<void> {
    for (const { id, text, handOff } of (await options.said?.()) ?? []) {
      if (told.includes(id)) continue;
      told.push(id);
      if (text !== '') asides.add(LOOP_TEXT.fromPeople(text));
      if (handOff !== true) continue;
      asides.add(LOOP_TEXT.externalLast(LOOP_TEXT.handOffNow));
      allowance.endSoon();
    }
  }

  async function complete(request: GatewayRequest & { model: string }, signal: AbortSignal): Promise<GatewayAnswer> {
    await listen();
    const maxOutputTokens = Math.min(request.maxOutputTokens ?? options.maxOutputTokens, options.maxOutputTokens);
    const size = JSON.stringify(request.messages).length + JSON.stringify(request.tools).length;
    const call = allowance.begin(estimateTokens(size), maxOutputTokens);
    if (call.kind === 'refused') {
      throw new GatewayRefusal('limit', `${call.why} No further call is made for this task.`);
    }
    if (call.warning !== undefined) asides.add(call.warning);
    const messages = asides.weave(request.messages);
    let used: AgentMetrics | undefined;
    try {
      const given = await options.ask({ ...request, messages, maxOutputTokens, signal });
      const { completion, tokens, costUsd, durationMs } = given;
      const { inputTokens, cachedInputTokens, outputTokens } = tokens;
      const toolCalls = completion.toolCalls.length;
      used = { turns: 1, toolCalls, inputTokens, cachedInputTokens, outputTokens, costUsd, durationMs };
      const calls = completion.toolCalls.map((each) => ({
        ...each,
        id: each.id === '' ? `call_${randomUUID()}` : each.id,
      }));
      return { id: randomUUID(), model: request.model, text: completion.text, calls, stop: completion.stop, tokens };
    } finally {
      allowance.end(call.estimate, used);
    }
  }

  async function answer(protocol: Protocol, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request);
    const asked = protocol.read(body);
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client has gone')));
    const timer = asked.stream
      ? setInterval(() => beginStream(response).write(protocol.keepAlive), KEEP_ALIVE_MS)
      : undefined;
    try {
      const given = await complete(asked, gone.signal);
      if (response.destroyed) return;
      if (!asked.stream) return sendJson(response, 200, protocol.whole(given));
      beginStream(response).end(protocol.events(given, body).join(''));
    } finally {
      clearInterval(timer);
    }
  }

  return {
    get metrics() {
      return allowance.metrics;
    },
    get unanswered() {
      return allowance.unanswered;
    },
    get reached() {
      return allowance.reached;
    },
    told,
    async handle(request, response) {
      const path = (request.url ?? '/').split('?')[0] ?? '/';
      const protocol =
        path.startsWith('/v1/messages') || request.headers['x-api-key'] !== undefined ? anthropic : openai;
      try {
        if (!timingSafeEqual(digest(keyOf(request)), token)) {
          throw new GatewayRefusal('unauthorized', 'This is not the token of this task.');
        }
        if (request.method === 'GET' && path === '/v1/models') return sendJson(response, 200, modelList(options.model));
        if (request.method === 'POST' && path === '/v1/chat/completions')
          return await answer(openai, request, response);
        if (request.method === 'POST' && path === '/v1/messages') return await answer(anthropic, request, response);
        if (request.method === 'POST' && path === '/v1/messages/count_tokens') {
          const text = JSON.stringify(await readJson(request));
          return sendJson(response, 200, { input_tokens: estimateTokens(text.length) });
        }
        throw new GatewayRefusal(
          'not-found',
          `There is no ${request.method} ${path} here: chat completions and messages.`,
        );
      } catch (error) {
        if (response.destroyed) return;
        const refusal = asRefusal(error);
        // After a keep-alive the status is sent: what ends without an end is tried again or given up by the client.
        if (response.headersSent) response.destroy();
        else sendJson(response, refusal.status, protocol.error(refusal));
      }
    },
  };
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function keyOf({ headers }: IncomingMessage): string {
  const key = headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /i, '') ?? '';
  return Array.isArray(key) ? (key[0] ?? '') : key;
}

function beginStream(response: ServerResponse): ServerResponse {
  if (!response.headersSent) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  }
  return response;
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES)
      throw new GatewayRefusal('too-long', `The request has more than ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new GatewayRefusal('invalid', `The request is not JSON: ${(error as Error).message}`);
  }
}

const modelList = (id: string): object => ({
  object: 'list',
  data: [{ id, type: 'model', object: 'model', display_name: id, created: 0, owned_by: 'agentswarm' }],
  has_more: false,
  first_id: id,
  last_id: id,
});

/** The providers' own words name endpoints and never keys; what is a bug of ours is told without details. */
function asRefusal(error: unknown): GatewayRefusal {
  if (error instanceof GatewayRefusal) return error;
  if (error instanceof ZodError) {
    const issues = error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`);
    return new GatewayRefusal('invalid', issues.slice(0, 10).join('; '));
  }
  switch (failureTypeOf(error)) {
    case FailureType.ContextTooLong:
      return new GatewayRefusal('too-long', rootMessage(error));
    case FailureType.RequestRefused:
    case FailureType.AnswerTooLarge:
      return new GatewayRefusal('invalid', rootMessage(error));
    case FailureType.Orphaned:
      return new GatewayRefusal('limit', rootMessage(error));
    case FailureType.ModelUnusable:
      return new GatewayRefusal('unavailable', rootMessage(error));
    default:
      return new GatewayRefusal('unavailable', 'The gateway could not have this call answered.');
  }
}
