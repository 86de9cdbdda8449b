/**
 * Private registries: the sandbox asks a URL on its own loopback without a token, the registry is asked with it, over
 * TLS. Invariants:
 * 1. The token goes to URLs below the registry's own only, and with GET or HEAD: nothing can be published with it.
 * 2. No answer has it: not in headers, not in texts that repeat what was asked.
 * 3. A redirect is handed back: within the registry as a local URL, to elsewhere as it is, to be asked for without it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { pipeline } from 'node:stream';
import { kindOf } from '../../../shared/contracts/network.ts';
import type { Account } from './account.ts';
import type { LocalRegistry } from './client-settings.ts';
import { codeOf, type Resolve } from './dial.ts';
import { asReason, endToEnd } from './headers.ts';
import type { Gateway } from './proxy.ts';
import { badRequest, overLimit, NetworkRefusal, unreachable } from './refusal.ts';
import { registryText, type Rewrite } from './registry-text.ts';
import { checkFraming, valuesOf } from './target.ts';

export type RegistryAccess = LocalRegistry & {
  /** `token` or `user:password`. */
  secret: string;
};

/** Of the client's headers the registry gets no others. */
const FOR_REGISTRY = new Set([
  'accept',
  'accept-language',
  'if-modified-since',
  'if-none-match',
  'range',
  'user-agent',
]);
/** Metadata that is longer is not read. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

export type RegistryGatewayDeps = {
  registries: readonly RegistryAccess[];
  account: Account;
  resolve: Resolve;
  /** Certificates besides the system's. */
  ca?: string;
};

/** Its agent ends with the account's sockets. */
export function createGateway(deps: RegistryGatewayDeps): Gateway {
  const gateway = new RegistryGateway(deps);
  return async (request, response) => await gateway.handle(request, response);
}

class RegistryGateway {
  private readonly deps: RegistryGatewayDeps;
  private readonly agent: Agent;

  constructor(deps: RegistryGatewayDeps) {
    this.deps = deps;
    this.agent = new Agent({ maxSockets: 32, keepAlive: true, timeout: deps.account.limits.idleMs });
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { registries, account } = this.deps;
    const registry = registryOf(registries, request);
    const path = registryPath(registry, request.url ?? '/');
    checkFraming(request.rawHeaders);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new NetworkRefusal({
        status: 405,
        reason: 'method',
        message: `Only GET and HEAD go to the registry ${registry.url}: nothing can be published from here.`,
      });
    }
    if (account.isOverBytes) throw overLimit(`${account.limits.bytes} bytes`);
    const url = new URL(registry.url);
    const to = { host: url.hostname, port: url.port === '' ? 443 : Number(url.port) };
    const answer = await this.ask(request, to, path);
    await this.respond(registry, new URL(path, url), answer, response);
  }

  private readonly lookup: LookupFunction = (host, options, callback) => {
    this.deps.resolve(host).then(
      (all) => {
        const [first] = all;
        if (first === undefined) callback(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }), '');
        else if (options.all === true) callback(null, [...all]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    );
  };

  private ask(request: IncomingMessage, to: { host: string; port: number }, path: string): Promise<IncomingMessage> {
    const { registries, account, ca } = this.deps;
    const { agent, lookup } = this;
    const registry = registryOf(registries, request);
    const headers = endToEnd(request.rawHeaders);
    const passed = headers.flatMap((name, i) =>
      i % 2 === 0 && FOR_REGISTRY.has(name.toLowerCase()) ? [name, headers[i + 1] ?? ''] : [],
    );
    return new Promise((resolve, reject) => {
      const upstream = httpsRequest({
        ...to,
        servername: to.host,
        agent,
        lookup,
        method: request.method ?? 'GET',
        path,
        headers: [
          ...['Host', to.port === 443 ? to.host : `${to.host}:${to.port}`],
          ...passed,
          // Texts are read here.
          ...['Accept-Encoding', 'identity'],
          ...['Authorization', authorization(registry)],
        ],
        setHost: false,
        ...(ca === undefined ? {} : { ca }),
      });
      upstream.once('socket', (socket) => account.own(socket));
      upstream.once('response', resolve);
      // A code only: no text of an error may repeat a header.
      upstream.once('error', (error) => reject(unreachable(to, codeOf(error))));
      request.once('close', () => {
        if (!request.complete) upstream.destroy();
      });
      upstream.end();
    });
  }

  private async respond(
    registry: RegistryAccess,
    asked: URL,
    answer: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { account } = this.deps;
    answer.on('data', (chunk: Buffer) => account.count(chunk.length));
    const rewrite = registryText(registry);
    const headers = endToEnd(answer.rawHeaders, ['set-cookie', 'set-cookie2', 'location', 'content-length']).map(
      rewrite.redact,
    );
    const { location } = answer.headers;
    if (location !== undefined) {
      if (!URL.canParse(location, asked.href)) throw badRequest('redirect', 'The registry redirects to no URL.');
      headers.push('Location', rewrite.text(new URL(location, asked).href));
    }
    const status = answer.statusCode ?? 502;
    const reason = asReason(rewrite.redact(answer.statusMessage ?? ''));
    if (isText(answer) && response.req.method !== 'HEAD') {
      const text = await readText(answer, rewrite, asked.pathname);
      const unstamped = endToEnd(headers, ['etag', 'content-md5', 'digest']);
      response.writeHead(status, reason, [...unstamped, 'Content-Length', String(text.length)]).end(text);
      return;
    }
    const [length] = valuesOf(answer.rawHeaders, 'content-length');
    response.writeHead(status, reason, [...headers, ...(length === undefined ? [] : ['Content-Length', length])]);
    await new Promise<void>((resolve) => pipeline(answer, response, () => resolve()));
  }
}

/** By the port that the client believes to talk to: every registry is open to the sandbox alike. */
function registryOf(registries: readonly RegistryAccess[], request: IncomingMessage): RegistryAccess {
  const hosts = valuesOf(request.rawHeaders, 'host');
  const found = registries.find(({ port }) => hosts[0] === `127.0.0.1:${port}` || hosts[0] === `localhost:${port}`);
  if (hosts.length !== 1 || found === undefined) {
    throw badRequest('no proxy request', 'This is a proxy: ask it by CONNECT host:port, or for http://host/path.');
  }
  return found;
}

/** The path to ask for, below the registry's own in every reading of it. @throws Refusal */
function registryPath(registry: RegistryAccess, asked: string): string {
  const base = new URL(registry.url);
  const outside = new NetworkRefusal({
    reason: 'outside of the registry',
    message: `Only what is below ${registry.localUrl} can be asked for here.`,
  });
  if (/[\\#\0-\x20\x7f-\xff]/.test(asked)) throw outside;
  const [path = '', ...query] = asked.split('?');
  let reading = path;
  for (let i = 0; i < 4; i++) {
    if (/[\0-\x1f\x7f\\;]/.test(reading) || reading.split('/').some((part) => part === '.' || part === '..'))
      throw outside;
    const decoded = reading.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    if (decoded === reading) break;
    if (i === 3) throw outside;
    reading = decoded;
  }
  // npm asks for `/team` where the registry is `/team/`.
  if (!path.startsWith(base.pathname) && `${path}/` !== base.pathname) throw outside;
  // The account's own matters: tokens, user, teams.
  const rest = reading.slice(base.pathname.length).replace(/^\/+/, '');
  if (kindOf(registry) === 'npm' && rest.startsWith('-/')) throw outside;
  return [path, ...query].join('?');
}

function authorization(registry: RegistryAccess): string {
  const { secret } = registry;
  // Cargo's registries say themselves what stands before a token.
  if (kindOf(registry) === 'cargo') return secret;
  return secret.includes(':') ? `Basic ${Buffer.from(secret).toString('base64')}` : `Bearer ${secret}`;
}

function isText({ headers }: IncomingMessage): boolean {
  const type = headers['content-type'] ?? '';
  const plain = headers['content-encoding'] === undefined || headers['content-encoding'] === 'identity';
  return plain && /^(?:text\/html|application\/(?:[\w.+-]*\+)?json)\b/i.test(type);
}

async function readText(answer: IncomingMessage, rewrite: Rewrite, path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_TEXT_BYTES) {
      throw new NetworkRefusal({
        status: 502,
        reason: 'too large',
        message: `The registry's metadata has more than ${MAX_TEXT_BYTES} bytes.`,
      });
    }
    chunks.push(chunk);
  }
  // Latin-1 keeps every byte, and URLs and tokens are ASCII.
  return Buffer.from(rewrite.body(Buffer.concat(chunks).toString('latin1'), path), 'latin1');
}
