/**
 * The proxy of one command: CONNECT and plain HTTP, for the hosts that it may reach only. Invariants:
 * 1. Every request is checked by itself: nothing that a former one was allowed counts for the next.
 * 2. No redirect is followed; the client gets it, and asks again.
 * 3. A request is written anew from what was parsed: no byte of its framing goes through.
 */
import { timingSafeEqual } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import type { Account } from './account.ts';
import { codeOf, type Dialer } from './dial.ts';
import { asReason, endToEnd } from './headers.ts';
import { type Reach, reaches } from './reach.ts';
import { badRequest, notListed, overLimit, NetworkRefusal, unreachable } from './refusal.ts';
import { absoluteTarget, checkVersion, connectTarget, type Target, valuesOf } from './target.ts';

/** Answers what is asked of a registry's local URL. Rejects with a Refusal. */
export type Gateway = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export type ProxyDeps = {
  reach: Reach;
  /** Where the list is, for messages: `sandbox.network`. */
  setting: string;
  dial: Dialer;
  account: Account;
  gateway?: Gateway;
  /** `user:password` that each request must give. Default: none, where only those can connect who may. */
  login?: string;
  onRefused(refusal: NetworkRefusal): void;
};

const HEADERS_MS = 30_000;

/** It listens nowhere yet. Closing its account ends all of its connections. */
export function createProxy(deps: ProxyDeps): Server {
  const { account } = deps;
  const { limits } = account;
  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: HEADERS_MS,
    // A large upload may take long; a silent one ends by the idle time.
    requestTimeout: 0,
    insecureHTTPParser: false,
    requireHostHeader: false,
    keepAliveTimeout: limits.idleMs,
  });
  server.maxConnections = limits.connections;
  server.timeout = limits.idleMs;
  server.on('connection', (socket: Socket) => account.own(socket));
  server.on('drop', () => deps.onRefused(overLimit(`${limits.connections} connections at once`)));
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const asked =
      request.url?.startsWith('/') === true ? local(deps, request, response) : plain(deps, request, response);
    void asked.catch((error: unknown) => refuse(deps, response, asRefusal(error)));
  });
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    void tunnel(deps, request, socket, head).catch((error: unknown) => {
      const refusal = asRefusal(error);
      deps.onRefused(refusal);
      socket.end(asText(refusal));
    });
  });
  server.on('clientError', (error: Error & { code?: string; rawPacket?: Buffer }, socket: Duplex) => {
    const answer = malformed(error);
    if (answer === undefined || !socket.writable) {
      socket.destroy();
      return;
    }
    deps.onRefused(answer.refusal);
    socket.end(answer.bytes);
    socket.once('finish', () => socket.destroy());
  });
  return server;
}

async function tunnel(deps: ProxyDeps, request: IncomingMessage, client: Socket, head: Buffer): Promise<void> {
  checkVersion(request.httpVersion, request.rawHeaders);
  checkLogin(deps, request);
  const target = connectTarget(request.url ?? '', request.rawHeaders);
  const upstream = await dialAllowed(deps, target);
  if (client.destroyed) {
    upstream.destroy();
    return;
  }
  const { account } = deps;
  upstream.on('data', (chunk: Buffer) => account.count(chunk.length));
  client.on('data', (chunk: Buffer) => account.count(chunk.length));
  client.write('HTTP/1.1 200 Connection established\r\n\r\n');
  if (head.length > 0) {
    account.count(head.length);
    upstream.write(head);
  }
  // An end that has said all may still listen; an error or a close ends both.
  client.pipe(upstream);
  upstream.pipe(client);
  client.once('close', () => upstream.destroy());
  upstream.once('close', () => client.destroy());
}

async function plain(deps: ProxyDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  checkVersion(request.httpVersion, request.rawHeaders);
  checkLogin(deps, request);
  const target = absoluteTarget(request.url ?? '', request.rawHeaders);
  const socket = await dialAllowed(deps, target);
  await forward(deps.account, request, response, { ...target, socket });
}

async function local(deps: ProxyDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (deps.gateway === undefined) {
    throw badRequest('no proxy request', 'This is a proxy: ask it by CONNECT host:port, or for http://host/path.');
  }
  await deps.gateway(request, response);
}

function checkLogin({ login }: ProxyDeps, { headers }: IncomingMessage): void {
  if (login === undefined) return;
  const given = Buffer.from(headers['proxy-authorization'] ?? '');
  const expected = Buffer.from(`Basic ${Buffer.from(login).toString('base64')}`);
  if (given.length === expected.length && timingSafeEqual(given, expected)) return;
  throw new NetworkRefusal({ status: 407, reason: 'no login', message: 'This proxy is for one command only.' });
}

async function dialAllowed(deps: ProxyDeps, target: Target): Promise<Socket> {
  if (deps.account.isOverBytes) throw overLimit(`${deps.account.limits.bytes} bytes`);
  if (!reaches(deps.reach, target.host, target.port)) throw notListed(target, deps.reach, deps.setting);
  const socket = await deps.dial(target);
  deps.account.own(socket);
  socket.setTimeout(deps.account.limits.idleMs, () => socket.destroy());
  return socket;
}

/** Asks the host at the other end of `socket`, and hands its answer back as it is. */
function forward(
  account: Account,
  request: IncomingMessage,
  response: ServerResponse,
  to: Target & { path: string; socket: Socket },
): Promise<void> {
  const chunked = valuesOf(request.rawHeaders, 'transfer-encoding').length > 0;
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      method: request.method ?? 'GET',
      path: to.path,
      headers: [
        ...endToEnd(request.rawHeaders, ['host']),
        ...['Host', to.port === 80 ? to.host : `${to.host}:${to.port}`],
        ...(chunked ? ['Transfer-Encoding', 'chunked'] : []),
        ...['Connection', 'close'],
      ],
      setHost: false,
      createConnection: () => to.socket,
      insecureHTTPParser: false,
      maxHeaderSize: account.limits.headerBytes,
    });
    upstream.once('response', (answer) => {
      answer.on('data', (chunk: Buffer) => account.count(chunk.length));
      response.writeHead(answer.statusCode ?? 502, asReason(answer.statusMessage ?? ''), endToEnd(answer.rawHeaders));
      pipeline(answer, response, () => resolve());
    });
    upstream.once('error', (error) => {
      response.destroyed || response.headersSent ? resolve() : reject(unreachable(to, codeOf(error)));
    });
    response.once('close', () => upstream.destroy());
    request.on('data', (chunk: Buffer) => account.count(chunk.length));
    pipeline(request, upstream, (error) => {
      if (error != null) upstream.destroy();
    });
  });
}

/** To a client that is asked for nothing more: what is left of its request is not read. */
function refuse(deps: ProxyDeps, response: ServerResponse, refusal: NetworkRefusal): void {
  deps.onRefused(refusal);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' };
  if (refusal.status === 407) response.setHeader('Proxy-Authenticate', 'Basic');
  response.writeHead(refusal.status, asReason(refusal.message), headers).end(`AgentSwarm: ${refusal.message}\n`);
}

/** As a whole answer. Clients show the body of an answer to CONNECT seldom, but its reason phrase often. */
function asText({ status, message }: NetworkRefusal): string {
  const body = `AgentSwarm: ${message}\n`;
  return [
    `HTTP/1.1 ${status} ${asReason(message)}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(status === 407 ? ['Proxy-Authenticate: Basic'] : []),
    '',
    body,
  ].join('\r\n');
}

const asRefusal = (error: unknown): NetworkRefusal =>
  error instanceof NetworkRefusal
    ? error
    : new NetworkRefusal({ status: 502, reason: 'failed', message: `The proxy failed: ${codeOf(error)}.` });

/** What to say to bytes that are no request; undefined when the client just went away. */
function malformed(error: {
  code?: string;
  rawPacket?: Buffer;
}): { refusal: NetworkRefusal; bytes: string | Buffer } | undefined {
  const answerOf = (refusal: NetworkRefusal) => ({ refusal, bytes: asText(refusal) });
  const { code, rawPacket } = error;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return answerOf(
      new NetworkRefusal({ status: 408, reason: 'timeout', message: 'The request did not come in time.' }),
    );
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return answerOf(
      new NetworkRefusal({ status: 431, reason: 'header size', message: 'The headers of the request are too long.' }),
    );
  }
  if (rawPacket === undefined || code?.startsWith('HPE_') !== true) return undefined;
  const socks = badRequest('SOCKS', 'This is no SOCKS proxy: set the client to an HTTP proxy (CONNECT).');
  // "No acceptable method" (RFC 1928) and "request rejected": the words of SOCKS for no.
  if (rawPacket[0] === 5) return { refusal: socks, bytes: Buffer.from([5, 0xff]) };
  if (rawPacket[0] === 4) return { refusal: socks, bytes: Buffer.from([0, 0x5b, 0, 0, 0, 0, 0, 0]) };
  if (rawPacket[0] === 0x16) {
    return answerOf(badRequest('TLS', 'This proxy is spoken to without TLS: its URL begins with http://.'));
  }
  return answerOf(badRequest('malformed request', `The request cannot be read (${code}).`));
}
