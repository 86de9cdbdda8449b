/** A real endpoint in front of a scripted model: it refuses some conversations, as Azure and LiteLLM do, and passes on all others. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import type { Conversation } from '../../examples/scripted-model/conversation.ts';
import { readOpenAi } from '../../examples/scripted-model/openai.ts';

export type RefusingEndpoint = {
  /** For LLM_ENDPOINTS. */
  readonly baseUrl: string;
  /** How many calls were refused so far, and passed on. */
  readonly refused: number;
  readonly passed: number;
  close(): Promise<void>;
};

export type RefusingOptions = {
  /** Where the model is, asked at each request. */
  model(): string;
  refuses(conversation: Conversation): boolean;
  /** The message of its 400. */
  message: string;
  /** `error.code` of it. */
  code: string;
};

export async function startRefusingEndpoint(options: RefusingOptions): Promise<RefusingEndpoint> {
  const counts = { refused: 0, passed: 0 };
  const server = createServer((request, response) => {
    void (async () => {
      const body = await textOf(request);
      const isCall = request.method === 'POST';
      if (isCall && options.refuses(readOpenAi(JSON.parse(body)).conversation)) {
        counts.refused++;
        const error = { message: options.message, type: 'invalid_request_error', param: null, code: options.code };
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
        return;
      }
      if (isCall) counts.passed++;
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      const answer = await fetch(`${options.model()}${request.url}`, {
        method: request.method ?? 'GET',
        headers: headersOf(request),
        signal: gone.signal,
        ...(isCall ? { body } : {}),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' });
      if (answer.body === null) response.end();
      else Readable.fromWeb(answer.body).pipe(response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    get refused() {
      return counts.refused;
    },
    get passed() {
      return counts.passed;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const headersOf = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    ['content-type', 'authorization', 'idempotency-key'].flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
