/**
 * A model server on loopback that plays a script: OpenAI's chat-completions and Anthropic's messages, whole
 * and streaming, with tool calls. It keeps nothing between requests but its log.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ZodError, z } from 'zod';
import { anthropicAnswer, anthropicStream, readAnthropic } from './anthropic.ts';
import { roleOf, type Script, taskOf } from './conversation.ts';
import { openAiAnswer, openAiStream, readOpenAi } from './openai.ts';
import { createRequestLog, type LoggedRequest, type RequestLog } from './request-log.ts';
import { countUsage } from './usage.ts';
import type { Exchange } from './wire.ts';

export type ScriptedModelOptions = {
  script: Script;
  /** 0 or absent: a free one. */
  port?: number;
  /** How long the model "thinks" before the first byte of an answer. */
  latencyMs?: number;
  /** Requests with another key are answered 401. Absent: any key will do. */
  apiKey?: string;
  /** Names that are known; others are answered 404. */
  models?: readonly string[];
  /** Gets one line of JSON for each request that has ended. */
  logFile?: string;
};

export type ScriptedModel = {
  /** Base URL for Anthropic's SDK; OpenAI's wants `/v1` behind it. */
  url: string;
  log: readonly LoggedRequest[];
  /** Stops listening and cuts what is open. */
  stop(): Promise<void>;
};

export const DEFAULT_MODEL = 'scripted-1';
const MAX_BODY_BYTES = 64 * 1024 * 1024;

type Protocol = 'openai' | 'anthropic';

/** An answer that is no success, in words for the client. */
class Refusal extends Error {
  readonly status: number;
  readonly kind: string;
  constructor(status: number, kind: string, message: string) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

/** Starts the server on 127.0.0.1. Rejects when the port is taken. */
export async function startScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const log = createRequestLog(options.logFile);
  const server = createServer((request, response) => {
    handle(options, log, request, response).catch((error: unknown) => {
      const protocol: Protocol = request.url?.startsWith('/v1/messages') ? 'anthropic' : 'openai';
      if (response.headersSent) response.destroy();
      else refuse(response, protocol, asRefusal(error));
    });
  });
  // A conversation's connection may rest for as long as a command runs in the sandbox.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: log.entries,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(
  options: ScriptedModelOptions,
  log: RequestLog,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?')[0];
  const known = options.models ?? [DEFAULT_MODEL];
  if (request.method === 'GET' && path === '/log') return sendJson(response, 200, log.entries);
  if (request.method === 'GET' && path?.startsWith('/v1/models')) {
    checkKey(options.apiKey, request);
    return sendJson(response, 200, modelsAnswer(path.slice('/v1/models'.length), known));
  }
  const protocol = PROTOCOLS[path ?? ''];
  if (request.method !== 'POST' || protocol === undefined) {
    throw new Refusal(404, 'not_found_error', `no ${request.method} ${path} here`);
  }
  checkKey(options.apiKey, request);
  const text = await readBody(request);
  const body = parseJson(text);
  const read = protocol === 'openai' ? readOpenAi(body) : { ...readAnthropic(body), usageInStream: true };
  const { conversation, stream } = read;
  if (!known.includes(conversation.model)) {
    throw unknownModel(conversation.model, known);
  }
  const answer = options.script.answer(conversation);
  const usage = countUsage(conversation, answer);
  const entry = log.open({
    idempotencyKey: header(request, 'idempotency-key'),
    protocol,
    role: roleOf(conversation),
    task: taskOf(conversation) ?? null,
    model: conversation.model,
    stream,
    calls: answer.calls.map((call) => call.name),
    inputTokens: usage.inputTokens,
    outputTokens: usage.outputTokens,
  });
  response.once('close', () => {
    log.close(entry, { status: response.headersSent ? 200 : null, aborted: !response.writableFinished });
  });
  const exchange: Exchange = {
    id: createHash('sha256').update(text).digest('hex').slice(0, 24),
    created: CREATED,
    model: conversation.model,
    answer,
    callIds: answer.calls.map((_, i) => `call_${conversation.turns.length}_${i}`),
    usage,
  };
  await think(options.latencyMs ?? 0, response);
  if (response.destroyed) return;
  if (!stream)
    return sendJson(response, 200, protocol === 'openai' ? openAiAnswer(exchange) : anthropicAnswer(exchange));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const events = protocol === 'openai' ? openAiStream(exchange, read.usageInStream) : anthropicStream(exchange);
  for (const event of events) response.write(event);
  response.end();
}

const unknownModel = (id: string, known: readonly string[]): Refusal =>
  new Refusal(404, 'not_found_error', `model "${id}" does not exist; there is ${known.join(', ')}`);

/** The list, or with `/<id>` behind the path one model; with the fields of both protocols. */
function modelsAnswer(rest: string, known: readonly string[]): object {
  const created_at = new Date(CREATED * 1_000).toISOString();
  const model = (id: string): object => ({
    id,
    type: 'model',
    object: 'model',
    display_name: id,
    created: CREATED,
    created_at,
    owned_by: 'scripted',
  });
  if (rest === '') {
    return { object: 'list', data: known.map(model), has_more: false, first_id: known[0], last_id: known.at(-1) };
  }
  const id = decodeURIComponent(rest.slice(1));
  if (!known.includes(id)) throw unknownModel(id, known);
  return model(id);
}

/** 2023-11-14: fixed, since two answers to the same request are equal. */
const CREATED = 1_700_000_000;
const PROTOCOLS: Readonly<Record<string, Protocol>> = { '/v1/chat/completions': 'openai', '/v1/messages': 'anthropic' };

/** Waits, but no longer than the client does. */
async function think(latencyMs: number, response: ServerResponse): Promise<void> {
  if (latencyMs <= 0) return;
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  response.once('close', leave);
  await sleep(latencyMs, undefined, { signal: gone.signal }).catch((error: unknown) => {
    if (!gone.signal.aborted) throw error;
  });
  response.off('close', leave);
}

function checkKey(expected: string | undefined, request: IncomingMessage): void {
  if (expected === undefined) return;
  const given = header(request, 'x-api-key') ?? header(request, 'authorization')?.replace(/^Bearer\s+/i, '') ?? '';
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  if (!timingSafeEqual(digest(given), digest(expected)))
    throw new Refusal(401, 'authentication_error', 'the API key is wrong');
}

const header = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
};

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES)
      throw new Refusal(413, 'request_too_large', `the body is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal(400, 'invalid_request_error', `the body is not JSON: ${(error as Error).message}`);
  }
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof ZodError) return new Refusal(400, 'invalid_request_error', z.prettifyError(error));
  return new Refusal(500, 'api_error', `the script failed: ${error instanceof Error ? error.message : String(error)}`);
}

function refuse(response: ServerResponse, protocol: Protocol, { status, kind, message }: Refusal): void {
  sendJson(
    response,
    status,
    protocol === 'openai'
      ? { error: { message, type: kind, param: null, code: null } }
      : { type: 'error', error: { type: kind, message } },
  );
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
