/**
 * The models as an HTTP service for one task's external agent, in OpenAI's and in Anthropic's protocol, with the router
 * behind them. Invariants:
 * 1. No model is called without the token of this task, and that token is good for nothing else.
 * 2. Every call is counted, and none is made once a limit or the budget of the task is reached.
 * 3. A client gets a whole answer or none: where a provider's answer breaks off, the router asks again.
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
import type { NativeRequest } from '../../llm/providers/native.ts';
import { Allowance } from './allowance.ts';
import { anthropic } from './anthropic.ts';
import { Asides } from './asides.ts';
import { LastCall } from './last-call.ts';
import { openai } from './openai.ts';
import { type Body, type GatewayAnswer, GatewayRefusal, type GatewayRequest, type Protocol, sendJson } from './wire.ts';

const MAX_BODY_BYTES = 32 * 1024 * 1024;
const KEEP_ALIVE_MS = 10_000;

export type ModelGatewayOptions = {
  /** The token of this task alone, which the agent sends as its API key. */
  token: string;
  /** The model that is listed; a call may name any. */
  model: string;
  maxOutputTokens: number;
  limits: Limits;
  /** What earlier attempts of the same agent have used. */
  used?: AgentMetrics;
  /** Its share of the run's budget, earlier attempts included. */
  budget?: Budget | undefined;
  /** What people have said to the agent, delivered or not; asked for before each call. */
  messages?: () => Promise<readonly AgentMessage[]>;
  ask(
    request: Omit<GatewayRequest, 'stream'> & { maxOutputTokens: number; native: NativeRequest; signal: AbortSignal },
  ): Promise<ModelAnswer>;
};

export type ModelGateway = {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Calls so far, those of earlier attempts included. */
  readonly metrics: AgentMetrics;
  /** What the calls that are not answered yet may cost; absent when there are none. */
  readonly unanswered: Budget | undefined;
  /** Which limit has been met, as a sentence. */
  readonly reached: string | undefined;
  /** Ids of the people's messages that the agent was given. */
  readonly deliveredIds: readonly string[];
  /** What this program's calls came to; those of earlier attempts are not known. */
  readonly lastCall: Pick<LastCall, 'answered' | 'newestText' | 'unanswered'>;
  /** Endpoints that refused a body as the agent wrote it, and so got it translated, each with the words of its refusal. */
  readonly translatedFor: ReadonlyMap<string, string>;
};

/** One call of a model, as the agent's client made it. */
type Asking = {
  protocol: Protocol;
  body: Body;
  headers: Record<string, string>;
  offersTools: boolean;
  /** Aborted when the client has gone. */
  signal: AbortSignal;
};

export const createModelGateway = (options: ModelGatewayOptions): ModelGateway => new TaskModelGateway(options);

class TaskModelGateway implements ModelGateway {
  readonly deliveredIds: string[] = [];
  readonly lastCall = new LastCall();
  readonly translatedFor = new Map<string, string>();
  private readonly options: ModelGatewayOptions;
  private readonly tokenDigest: Buffer;
  private readonly allowance: Allowance;
  private readonly asides = new Asides();

  constructor(options: ModelGatewayOptions) {
    const { token, limits, budget, used = NO_METRICS } = options;
    this.options = options;
    this.tokenDigest = digest(token);
    this.allowance = new Allowance({ limits, budget, used });
  }

  get metrics(): AgentMetrics {
    return this.allowance.metrics;
  }

  get unanswered(): Budget | undefined {
    return this.allowance.unanswered;
  }

  get reached(): string | undefined {
    return this.allowance.reached;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const protocol = path.startsWith('/v1/messages') || request.headers['x-api-key'] !== undefined ? anthropic : openai;
    try {
      await this.route(`${request.method} ${path}`, request, response);
    } catch (error) {
      if (response.destroyed) return;
      const refusal = asRefusal(error);
      // After a keep-alive the status is sent already: a client that sees the stream break off tries again or gives up.
      if (response.headersSent) response.destroy();
      else sendJson(response, refusal.status, protocol.error(refusal));
    }
  }

  private async route(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client asks this without a key, to see whether there is a server; the answer says nothing of the task.
    if (target === 'HEAD /api/hello' || target === 'GET /api/hello') return sendJson(response, 200, {});
    if (!timingSafeEqual(digest(keyOf(request)), this.tokenDigest)) {
      throw new GatewayRefusal('unauthorized', 'This is not the token of this task.');
    }
    switch (target) {
      case 'GET /v1/models':
        return sendJson(response, 200, modelList(this.options.model));
      case 'POST /v1/chat/completions':
        return this.answer(openai, request, response);
      case 'POST /v1/messages':
        return this.answer(anthropic, request, response);
      case 'POST /v1/messages/count_tokens': {
        const { messages, tools } = anthropic.read(await readJson(request));
        const size = JSON.stringify(messages).length + JSON.stringify(tools).length;
        return sendJson(response, 200, { input_tokens: estimateTokens(size) });
      }
      default:
        throw new GatewayRefusal('not-found', `There is no ${target} here: chat completions and messages.`);
    }
  }

  /** Answers one call of a model; a client that streams gets keep-alives until the answer is there. */
  private async answer(protocol: Protocol, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { body, stream, tools, model } = await this.read(protocol, request);
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client has gone')));
    const timer = stream
      ? setInterval(() => beginStream(response).write(protocol.keepAlive), KEEP_ALIVE_MS)
      : undefined;
    const id = randomUUID();
    const unavailable = protocol.unavailable?.(body, id);
    try {
      const given =
        unavailable === undefined
          ? await this.recorded({
              protocol,
              body,
              headers: betas(request),
              offersTools: tools.length > 0,
              signal: gone.signal,
            })
          : { id, model, text: '', calls: [], stop: 'end' as const, tokens: NO_TOKENS, native: unavailable };
      if (response.destroyed) return;
      if (!stream) return sendJson(response, 200, await protocol.whole(given));
      beginStream(response).end(protocol.events(given, body).join(''));
    } finally {
      clearInterval(timer);
    }
  }

  private async read(
    protocol: Protocol,
    request: IncomingMessage,
  ): Promise<{ body: Body } & ReturnType<Protocol['read']>> {
    try {
      const body = await readJson(request);
      return { body, ...protocol.read(body) };
    } catch (error) {
      this.lastCall.begin(undefined).failed(asRefusal(error).message);
      throw error;
    }
  }

  /** Completes a call and records how it ended: how the last call ended tells how far the agent's own end can be believed. */
  private async recorded(asking: Asking): Promise<GatewayAnswer> {
    const call = this.lastCall.begin(asking.offersTools);
    try {
      const answer = await this.complete(asking);
      if (asking.signal.aborted) call.failed(undefined);
      else call.answered(answer.text, answer.calls.length);
      return answer;
    } catch (error) {
      call.failed(asking.signal.aborted ? undefined : asRefusal(error).message);
      throw error;
    }
  }

  /** Has a model answer a call and counts what it used. @throws GatewayRefusal for a call that is over a limit. */
  private async complete(asking: Asking): Promise<GatewayAnswer> {
    const { protocol, body } = asking;
    const { options, allowance } = this;
    await this.takePeoplesMessages();
    const asked = protocol.read(body);
    const maxOutputTokens = Math.min(asked.maxOutputTokens ?? options.maxOutputTokens, options.maxOutputTokens);
    const size = JSON.stringify(asked.messages).length + JSON.stringify(asked.tools).length;
    const call = allowance.begin(estimateTokens(size), maxOutputTokens);
    if (call.kind === 'refused') {
      throw new GatewayRefusal('limit', `${call.why} No further call is made for this task.`);
    }
    if (call.warning !== undefined) this.asides.add(call.warning);
    let used: AgentMetrics | undefined;
    try {
      const { completion, tokens, costUsd, durationMs } = await this.ask(asking, maxOutputTokens);
      const { inputTokens, cachedInputTokens, outputTokens } = tokens;
      const toolCalls = completion.toolCalls.length;
      used = { turns: 1, toolCalls, inputTokens, cachedInputTokens, outputTokens, costUsd, durationMs };
      const calls = completion.toolCalls.map((each) => ({
        ...each,
        id: each.id === '' ? `call_${randomUUID()}` : each.id,
      }));
      const { text, stop } = completion;
      return { id: randomUUID(), model: asked.model, text, calls, stop, tokens, native: completion.native };
    } finally {
      allowance.end(call.estimate, used);
    }
  }

  /** Asks a model, with what people said and what the limits warn of woven into the client's messages. */
  private ask({ protocol, body, headers, signal }: Asking, maxOutputTokens: number): Promise<ModelAnswer> {
    const woven = { ...body, messages: this.asides.weave(body['messages'] as unknown[], protocol.takesBefore) };
    const native: NativeRequest = {
      protocol: protocol.name,
      body: protocol.native(woven, maxOutputTokens),
      maxOutputTokens,
      headers,
      refusedBy: this.translatedFor,
    };
    const { messages, tools } = protocol.read(woven);
    return this.options.ask({ messages, tools, native, maxOutputTokens, signal });
  }

  /** Adds what people have said since the last call. What cannot be had now is asked for again before the next call. */
  private async takePeoplesMessages(): Promise<void> {
    for (const { id, text, handOff } of (await this.options.messages?.()) ?? []) {
      if (this.deliveredIds.includes(id)) continue;
      this.deliveredIds.push(id);
      if (text !== '') this.asides.add(LOOP_TEXT.fromPeople(text));
      if (handOff !== true) continue;
      this.asides.add(LOOP_TEXT.externalLast(LOOP_TEXT.handOffNow));
      this.allowance.endSoon();
    }
  }
}

const NO_TOKENS = { inputTokens: 0, cachedInputTokens: 0, cacheWriteInputTokens: 0, outputTokens: 0 };

/** What a body of Anthropic's protocol may have in it that is not in the version yet. */
function betas({ headers }: IncomingMessage): Record<string, string> {
  const given = headers['anthropic-beta'];
  return given === undefined ? {} : { 'anthropic-beta': Array.isArray(given) ? given.join(',') : given };
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function keyOf({ headers }: IncomingMessage): string {
  const key =
    headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers.authorization?.replace(/^Bearer /i, '') ?? '';
  return Array.isArray(key) ? (key[0] ?? '') : key;
}

function beginStream(response: ServerResponse): ServerResponse {
  if (!response.headersSent) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  }
  return response;
}

async function readJson(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES)
      throw new GatewayRefusal('too-long', `The request has more than ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new GatewayRefusal('invalid', `The request is not JSON: ${(error as Error).message}`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new GatewayRefusal('invalid', 'The request is no JSON object.');
  }
  return json as Body;
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
