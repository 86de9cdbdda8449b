/** What the two protocols of the gateway have in common: a request as the router takes it, an answer as it gives it. */
import type { ServerResponse } from 'node:http';
import type { Message } from '../../../shared/contracts/agent.ts';
import type { ModelAnswer } from '../../llm/models.ts';
import type { ToolDefinition } from '../../llm/providers/tools.ts';

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
  calls: { id: string; name: string; arguments: string }[];
  stop: ModelAnswer['completion']['stop'];
  tokens: ModelAnswer['tokens'];
};

export type Protocol = {
  /** @throws GatewayRefusal for what it cannot pass on. */
  read(body: unknown): GatewayRequest & { model: string };
  whole(answer: GatewayAnswer): object;
  /** Server-sent events, in order. */
  events(answer: GatewayAnswer, asked: unknown): string[];
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

  /** A spent limit is none of those that clients try again after. */
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

/** A tool's schema as a client gave it: an object at the top, which is all that providers take. */
export const parametersOf = (schema: Record<string, unknown> | undefined): ToolDefinition['parameters'] => ({
  properties: {},
  ...schema,
  type: 'object',
});

/** Text of a message's content: a string, or a list of parts. @throws GatewayRefusal for what is not text. */
export function textOf(content: unknown, skipped: readonly string[] = []): string {
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
      if (typeof text === 'string') return text;
      if (skipped.includes(String(type))) return '';
      throw new GatewayRefusal('invalid', `Content of the type ${JSON.stringify(type)} is not passed on: text only.`);
    })
    .join('');
}
