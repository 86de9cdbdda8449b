/** What the two protocols of the gateway have in common: a request as the router takes it, an answer as it gives it. */
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import type { Message } from '../../../shared/contracts/agent.ts';
import type { ModelAnswer } from '../../llm/models.ts';
import type { NativeAnswer } from '../../llm/providers/native.ts';
import type { ToolDefinition } from '../../llm/providers/tools.ts';

/** A request's JSON: an object, whatever is in it. */
export type Body = Record<string, unknown>;

export type GatewayRequest = {
  messages: Message[];
  tools: ToolDefinition[];
  maxOutputTokens: number | undefined;
  stream: boolean;
};

/** An answer with ids that its client can refer to. */
export type GatewayAnswer = {
  id: string;
  /** As the client named it. */
  model: string;
  text: string;
  calls: { id: string; name: string; arguments: string; more?: Record<string, unknown> }[];
  stop: ModelAnswer['completion']['stop'];
  tokens: ModelAnswer['tokens'];
  /** Of an endpoint that speaks the client's protocol. */
  native?: NativeAnswer | undefined;
};

/**
 * A protocol as a server. It reads liberally: what it does not know is passed on or left out, never refused.
 * Nothing that an endpoint would do in the network for the agent is passed on: the sandbox's rules are not to be
 * got round by way of the provider.
 */
export type Protocol = {
  name: 'openai' | 'anthropic';
  /** The translation. @throws ZodError for a body without a list of messages. */
  read(body: Body): GatewayRequest & { model: string };
  /** Whether a message that the client does not know of may stand before this one. */
  takesBefore(message: unknown): boolean;
  /** The body for an endpoint of the same protocol: as it is, but for limits and what is reached by network. */
  native(body: Body, maxOutputTokens: number): Body;
  /** The protocol's own word that a tool is not to be had, for a request that is about nothing else. */
  unavailable?(body: Body, id: string): NativeAnswer | undefined;
  whole(answer: GatewayAnswer): object | Promise<object>;
  /** Server-sent events, in order. */
  events(answer: GatewayAnswer, asked: Body): string[];
  /** Sent while the model is waited for: a client takes silence for a broken connection. */
  keepAlive: string;
  error(refusal: GatewayRefusal): object;
};

export type RefusalKind = 'invalid' | 'unauthorized' | 'not-found' | 'too-long' | 'limit' | 'unavailable';

/** An answer that is no success. The message is for the agent that asked. */
export class GatewayRefusal extends Error {
  readonly kind: RefusalKind;

  constructor(kind: RefusalKind, message: string) {
    super(message);
    this.kind = kind;
  }

  /** A spent limit is none of those that vendors' own clients try again after. */
  get status(): number {
    const statuses = {
      invalid: 400,
      unauthorized: 401,
      limit: 403,
      'not-found': 404,
      'too-long': 400,
      unavailable: 503,
    };
    return statuses[this.kind];
  }
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

export const sse = (data: object | string, event?: string): string =>
  `${event === undefined ? '' : `event: ${event}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** Fields that are read; what is of another type counts as not given. */
export const Text = z.string().catch('');
export const Flag = z.boolean().catch(false);
export const Fields = z.record(z.string(), z.unknown()).catch({});
export const List = z.array(z.unknown()).catch([]);
export const TokenLimit = z
  .number()
  .transform((tokens) => Math.max(1, Math.floor(tokens)))
  .optional()
  .catch(undefined);

/** A tool's schema as a client gave it: an object at the top, which is all that providers take. */
export const parametersOf = (schema: Record<string, unknown>): ToolDefinition['parameters'] => ({
  properties: {},
  ...schema,
  type: 'object',
});

const MAX_DEPTH = 4;
/** Of a part that nobody here knows, as JSON; more is data, not words. */
const MAX_UNKNOWN_CHARS = 2_000;
const IMAGES = ['image', 'image_url', 'input_image'];

/** Text of a message's content: a string, or a list of parts, of which those that are no text leave a word. */
export function textOf(content: unknown, skipped: readonly string[] = [], depth = 0): string {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  return parts.map((part) => partText(part, skipped, depth)).join('');
}

function partText(part: unknown, skipped: readonly string[], depth: number): string {
  if (typeof part === 'string') return part;
  const fields = Fields.parse(part);
  const type = Text.parse(fields['type']);
  if (skipped.includes(type)) return '';
  if (typeof fields['text'] === 'string') return fields['text'];
  if (IMAGES.includes(type)) return '[An image, which is not passed on: text only.]';
  if (type === 'tool_reference') return `[The tool ${Text.parse(fields['tool_name'])} is there now.]\n`;
  const source = Fields.parse(fields['source']);
  if (source['type'] === 'text') return Text.parse(source['data']);
  const inner = fields['content'] ?? source['content'];
  const text = depth < MAX_DEPTH && inner !== undefined ? textOf(inner, skipped, depth + 1) : '';
  if (text !== '') return text;
  const json = JSON.stringify(part) ?? '';
  return json.length <= MAX_UNKNOWN_CHARS ? json : `[Of the type ${JSON.stringify(type)}, not passed on: text only.]`;
}

/** Parts that the provider would fetch from elsewhere become text, also those within results; what is no part is left out. */
function withoutFetched(content: unknown, depth = 0): unknown {
  if (!Array.isArray(content) || depth > MAX_DEPTH) return content;
  return content.filter(isObject).map((part) => {
    const { cache_control, content: inner } = part;
    if (isFetched(part)) {
      return { type: 'text', text: partText(part, [], 0), ...(cache_control === undefined ? {} : { cache_control }) };
    }
    return Array.isArray(inner) ? { ...part, content: withoutFetched(inner, depth + 1) } : part;
  });
}

const isObject = (value: unknown): value is Body =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sources that stand in the request itself. */
const GIVEN = ['base64', 'text', 'content'];

function isFetched({ type, source, image_url, file, file_id, file_url }: Body): boolean {
  const from = Fields.parse(source)['type'];
  const url = typeof image_url === 'string' ? image_url : Fields.parse(image_url)['url'];
  return (
    type === 'container_upload' ||
    file_id !== undefined ||
    file_url !== undefined ||
    Fields.parse(file)['file_id'] !== undefined ||
    (typeof from === 'string' && !GIVEN.includes(from)) ||
    (typeof url === 'string' && !/^data:/i.test(url))
  );
}

/** The body's messages, without what is none, and without what is fetched. */
export const mapMessages = (body: Body): Body[] =>
  List.parse(body['messages'])
    .filter(isObject)
    .map((message) => ('content' in message ? { ...message, content: withoutFetched(message['content']) } : message));
