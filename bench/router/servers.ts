/**
 * The endpoints, in a process of their own: each speaks chat completions as a stream. They count what they are asked
 * and when, and how long a client takes to give up a stream that has fallen silent. `{ kind: 'count' }` gives and
 * clears the counts.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerTo } from './text.ts';

export const KINDS = ['healthy', 'slow', 'busy', 'stalling', 'instant'] as const;
export type Kind = (typeof KINDS)[number];

export type Counts = {
  /** When each request came, ms since the epoch. */
  asked: Record<Kind, number[]>;
  /** From the last byte of a stream to its end by the client, ms. */
  stallsMs: number[];
};

export const SLOWER = 20;
const FIRST_TOKEN_MS = 30;
const CHUNK_MS = 2;

const emptyCounts = (): Counts => ({
  asked: { healthy: [], slow: [], busy: [], stalling: [], instant: [] },
  stallsMs: [],
});
let counts = emptyCounts();

async function answer(kind: Kind, request: IncomingMessage, response: ServerResponse): Promise<void> {
  counts.asked[kind].push(Date.now());
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  if (kind === 'busy') {
    response.writeHead(429, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message: 'Rate limit reached', type: 'rate_limit_error' } }));
    return;
  }
  const body = JSON.parse(Buffer.concat(parts).toString()) as { messages: { content: string }[] };
  const pieces = answerTo(Number(body.messages.at(-1)?.content));
  const slower = kind === 'slow' ? SLOWER : kind === 'instant' ? 0 : 1;
  if (slower > 0) await sleep(FIRST_TOKEN_MS * slower);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (data: object | string): void =>
    void response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
  for (const [i, content] of pieces.entries()) {
    if (kind === 'stalling' && i === pieces.length / 2) {
      const silentSince = performance.now();
      response.on('close', () => counts.stallsMs.push(performance.now() - silentSince));
      return;
    }
    send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
    if (slower > 0) await sleep(CHUNK_MS * slower);
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  send({ choices: [], usage: { prompt_tokens: 10, completion_tokens: pieces.length * 4 } });
  send('[DONE]');
  response.end();
}

async function listen(kind: Kind): Promise<string> {
  const server = createServer((request, response) => void answer(kind, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

const urls = Object.fromEntries(await Promise.all(KINDS.map(async (kind) => [kind, await listen(kind)] as const)));
process.send?.({ urls });
process.on('message', () => {
  process.send?.({ counts });
  counts = emptyCounts();
});
process.on('disconnect', () => process.exit(0));
