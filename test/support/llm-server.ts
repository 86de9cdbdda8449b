/**
 * A real HTTP server that speaks OpenAI's chat completions and Anthropic's messages, streamed, with switches for
 * what goes wrong in life. What it answers is a function of what it is sent.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Recorded = {
  protocol: 'openai' | 'anthropic';
  path: string;
  idempotencyKey: string | undefined;
  authorization: string | undefined;
  headers: IncomingMessage['headers'];
  model: string;
  /** The body as it was sent. */
  body: Record<string, unknown>;
  /** How it ended: answered to the last byte, failed by a fault, or closed by the client. */
  outcome: 'open' | 'answered' | 'fault' | 'client-closed';
};

export type ScriptedAnswer = {
  text?: string;
  /** Opaque to clients: a signed block of Anthropic's; of OpenAI's, further fields of the message and its calls. */
  thinking?: { text: string; signature: string };
  toolCalls?: { id?: string; name: string; arguments: string }[];
  usage?: { input: number; output: number; cached?: number; cacheWrite?: number } | null;
  /** As OpenAI names it; default stop or tool_calls. */
  finish?: string;
  /** Characters of text and arguments in one chunk. Default 7. */
  chunkSize?: number;
  chunkDelayMs?: number;
  /** Before the headers. */
  delayMs?: number;
};

export type Fault =
  | { kind: 'status'; status: number; headers?: Record<string, string>; message?: string }
  /** A body of that server's own shape: text as it is, anything else as JSON. */
  | { kind: 'body'; status: number; headers?: Record<string, string>; body: unknown }
  /** Silent for good before event n; 0: no headers either. */
  | { kind: 'stall'; afterEvents: number }
  /** From event n on nothing but what keeps the connection alive: comments, and pings where the protocol has them. */
  | { kind: 'keep-alive'; afterEvents: number }
  /** The socket is destroyed before event n. */
  | { kind: 'reset'; afterEvents: number }
  /** The stream ends as if all were well before event n. */
  | { kind: 'truncate'; afterEvents: number }
  | { kind: 'not-json' }
  | { kind: 'wrong-shape' }
  | { kind: 'error-event'; type: string; message: string; code?: string | number }
  | { kind: 'html' };

export type LlmServer = {
  /** Without a path. */
  origin: string;
  openaiUrl: string;
  anthropicUrl: string;
  requests: Recorded[];
  /** Faults of the next requests, one each. */
  next: Fault[];
  /** The fault of all requests that `next` has none for. */
  always: Fault | null;
  answer: (request: Recorded) => ScriptedAnswer;
  close(): Promise<void>;
};

export type LlmServerOptions = {
  port?: number;
  /** Absent: any key. */
  apiKey?: string;
  /** null: there is no list. */
  models?: string[] | null;
  /** Known by name, but not in the list. */
  aliases?: string[];
  answer?: (request: Recorded) => ScriptedAnswer;
};

export async function startLlmServer(options: LlmServerOptions = {}): Promise<LlmServer> {
  const http = createServer((request, response) => {
    handle(server, options, request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    http.once('error', reject);
    http.listen(options.port ?? 0, '127.0.0.1', () => resolve((http.address() as AddressInfo).port));
  });
  const origin = `http://127.0.0.1:${port}`;
  const server: LlmServer = {
    origin,
    openaiUrl: `${origin}/v1`,
    anthropicUrl: origin,
    requests: [],
    next: [],
    always: null,
    answer: options.answer ?? (() => ({ text: 'hello' })),
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}

async function handle(
  server: LlmServer,
  options: LlmServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? '/', server.origin).pathname;
  const authorization = request.headers.authorization;
  if (options.apiKey !== undefined && authorization !== `Bearer ${options.apiKey}`) {
    return sendError(response, 401, `Incorrect API key provided: ${authorization?.replace('Bearer ', '')}.`);
  }
  if (request.method === 'GET') return sendModels(server, options, path, request, response);
  const protocol = path === '/v1/chat/completions' ? 'openai' : path === '/v1/messages' ? 'anthropic' : null;
  if (request.method !== 'POST' || protocol === null) return sendError(response, 404, `nothing at ${path}`);
  const body = JSON.parse(await readBody(request)) as Record<string, unknown>;
  const key = request.headers['idempotency-key'];
  const recorded: Recorded = {
    protocol,
    path,
    idempotencyKey: Array.isArray(key) ? key[0] : key,
    authorization,
    headers: request.headers,
    model: String(body['model']),
    body,
    outcome: 'open',
  };
  server.requests.push(recorded);
  response.on('close', () => {
    if (recorded.outcome === 'open') recorded.outcome = 'client-closed';
  });
  const fault = server.next.shift() ?? server.always;
  if (fault !== null && fault !== undefined && !['stall', 'keep-alive'].includes(fault.kind))
    recorded.outcome = 'fault';
  const models = options.models;
  // An empty list is of a server that does not say what it has.
  if (models && models.length > 0 && ![...models, ...(options.aliases ?? [])].includes(recorded.model)) {
    return sendError(response, 404, `The model ${recorded.model} does not exist`);
  }
  if (fault?.kind === 'status') return sendError(response, fault.status, fault.message ?? 'no', fault.headers);
  if (fault?.kind === 'body') {
    const isText = typeof fault.body === 'string';
    response.writeHead(fault.status, { 'content-type': isText ? 'text/html' : 'application/json', ...fault.headers });
    response.end(isText ? fault.body : JSON.stringify(fault.body));
    return;
  }
  if (fault?.kind === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html><body>Maintenance</body></html>');
    return;
  }
  const answer = server.answer(recorded);
  if (answer.delayMs !== undefined) await sleep(answer.delayMs);
  const events = protocol === 'openai' ? openAiEvents(answer, recorded.model) : anthropicEvents(answer, recorded.model);
  await stream(response, events, fault ?? null, protocol, answer.chunkDelayMs);
  if (fault === null || fault === undefined) recorded.outcome = 'answered';
}

function sendModels(
  server: LlmServer,
  options: LlmServerOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { models = ['model-a', 'model-b'], aliases = [] } = options;
  if (server.always?.kind === 'stall') return;
  if (server.always?.kind === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html>hi</html>');
    return;
  }
  if (models === null) return sendError(response, 404, 'no such page');
  const describe = (id: string) => ({
    id,
    object: 'model',
    type: 'model',
    created: 0,
    owned_by: 'test',
    display_name: id,
  });
  response.setHeader('content-type', 'application/json');
  if (path === '/v1/models') {
    response.end(JSON.stringify({ object: 'list', data: models.map(describe), has_more: false }));
    return;
  }
  const id = decodeURIComponent(path.replace('/v1/models/', ''));
  if (![...models, ...aliases].includes(id)) return sendError(response, 404, `model ${id} not found (${request.url})`);
  response.end(JSON.stringify(describe(id)));
}

function sendError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ type: 'error', error: { type: 'test_error', message } }));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

type Event = { event?: string; data: string };

async function stream(
  response: ServerResponse,
  events: Event[],
  fault: Fault | null,
  protocol: 'openai' | 'anthropic',
  delayMs = 0,
): Promise<void> {
  if (fault?.kind === 'stall' && fault.afterEvents === 0) return;
  if (fault?.kind === 'reset' && fault.afterEvents === 0) {
    response.destroy();
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  for (const [i, { event, data }] of events.entries()) {
    if (fault !== null && 'afterEvents' in fault && i >= fault.afterEvents) {
      if (fault.kind === 'stall') return;
      if (fault.kind === 'keep-alive') return keepAlive(response, protocol);
      await sleep(20);
      if (fault.kind === 'reset') response.destroy();
      else response.end();
      return;
    }
    const bad = i === 1 ? badEvent(fault, protocol) : null;
    response.write(bad ?? `${event === undefined ? '' : `event: ${event}\n`}data: ${data}\n\n`);
    if (bad !== null) break;
    if (delayMs > 0) await sleep(delayMs);
  }
  await new Promise<void>((resolve) => response.end(() => resolve()));
}

function keepAlive(response: ServerResponse, protocol: 'openai' | 'anthropic'): void {
  const ping = protocol === 'anthropic' ? 'event: ping\ndata: {"type": "ping"}\n\n' : '';
  const timer = setInterval(() => response.write(`: still here\n\n${ping}`), 30);
  response.on('close', () => clearInterval(timer));
}

function badEvent(fault: Fault | null, protocol: 'openai' | 'anthropic'): string | null {
  const name = protocol === 'anthropic' ? 'event: content_block_delta\n' : '';
  if (fault?.kind === 'not-json') return `${name}data: {"choices": [ {{{\n\n`;
  if (fault?.kind === 'wrong-shape') return `${name}data: {"choices": "rubbish", "type": "content_block_delta"}\n\n`;
  if (fault?.kind !== 'error-event') return null;
  const error = { type: fault.type, message: fault.message, code: fault.code };
  return `event: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`;
}

const pieces = (text: string, size = 7): string[] =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));

function openAiEvents(answer: ScriptedAnswer, model: string): Event[] {
  const chunk = (delta: object, finish_reason: string | null = null): object => ({
    id: 'c1',
    object: 'chat.completion.chunk',
    model,
    choices: [{ index: 0, delta, finish_reason }],
  });
  const calls = answer.toolCalls ?? [];
  const list: object[] = [chunk({ role: 'assistant', content: '' })];
  const { thinking } = answer;
  for (const reasoning_content of pieces(thinking?.text ?? '', answer.chunkSize))
    list.push(chunk({ reasoning_content }));
  const more = thinking && { extra_content: { google: { thought_signature: thinking.signature } } };
  for (const content of pieces(answer.text ?? '', answer.chunkSize)) list.push(chunk({ content }));
  for (const [index, call] of calls.entries()) {
    const begun = { index, id: call.id, type: 'function', function: { name: call.name, arguments: '' }, ...more };
    list.push(chunk({ tool_calls: [begun] }));
  }
  // Pieces of parallel calls come interleaved: the index tells them apart.
  const queues = calls.map((call) => pieces(call.arguments, answer.chunkSize));
  for (let i = 0; i < Math.max(0, ...queues.map((queue) => queue.length)); i++) {
    for (const [index, queue] of queues.entries()) {
      const piece = queue[i];
      if (piece !== undefined) list.push(chunk({ tool_calls: [{ index, function: { arguments: piece } }] }));
    }
  }
  list.push(chunk({}, answer.finish ?? (calls.length > 0 ? 'tool_calls' : 'stop')));
  const usage = answer.usage === undefined ? { input: 100, output: 20 } : answer.usage;
  if (usage !== null) {
    list.push({
      id: 'c1',
      model,
      choices: [],
      usage: {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        prompt_tokens_details: { cached_tokens: usage.cached ?? 0 },
      },
    });
  }
  return [...list.map((data) => ({ data: JSON.stringify(data) })), { data: '[DONE]' }];
}

const ANTHROPIC_STOP: Record<string, string> = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' };

function anthropicEvents(answer: ScriptedAnswer, model: string): Event[] {
  const list: { type: string; [field: string]: unknown }[] = [];
  const usage = answer.usage ?? { input: 100, output: 20 };
  const input = {
    input_tokens: usage.input - (usage.cached ?? 0) - (usage.cacheWrite ?? 0),
    cache_read_input_tokens: usage.cached ?? 0,
    cache_creation_input_tokens: usage.cacheWrite ?? 0,
  };
  const message = { id: 'm1', type: 'message', role: 'assistant', model, content: [] };
  list.push({ type: 'message_start', message: { ...message, usage: { ...input, output_tokens: 1 } } });
  let index = 0;
  if (answer.thinking) {
    const { text, signature } = answer.thinking;
    list.push({ type: 'content_block_start', index, content_block: { type: 'thinking', thinking: '', signature: '' } });
    for (const thinking of pieces(text, answer.chunkSize)) {
      list.push({ type: 'content_block_delta', index, delta: { type: 'thinking_delta', thinking } });
    }
    list.push({ type: 'content_block_delta', index, delta: { type: 'signature_delta', signature } });
    list.push({ type: 'content_block_stop', index: index++ });
  }
  if (answer.text) {
    list.push({ type: 'content_block_start', index, content_block: { type: 'text', text: '' } });
    list.push({ type: 'ping' });
    for (const text of pieces(answer.text, answer.chunkSize)) {
      list.push({ type: 'content_block_delta', index, delta: { type: 'text_delta', text } });
    }
    list.push({ type: 'content_block_stop', index: index++ });
  }
  for (const call of answer.toolCalls ?? []) {
    const block = { type: 'tool_use', id: call.id, name: call.name, input: {} };
    list.push({ type: 'content_block_start', index, content_block: block });
    for (const partial_json of pieces(call.arguments, answer.chunkSize)) {
      list.push({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json } });
    }
    list.push({ type: 'content_block_stop', index: index++ });
  }
  const finish = answer.finish ?? ((answer.toolCalls ?? []).length > 0 ? 'tool_calls' : 'stop');
  const stop_reason = ANTHROPIC_STOP[finish] ?? finish;
  list.push({
    type: 'message_delta',
    delta: { stop_reason, stop_sequence: null },
    usage: { output_tokens: usage.output },
  });
  list.push({ type: 'message_stop' });
  return list.map((event) => ({ event: event.type, data: JSON.stringify(event) }));
}
