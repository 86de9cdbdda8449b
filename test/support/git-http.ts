/** Real git over real HTTP: `git http-backend` behind node:http, with switches for what goes wrong out there. */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGunzip } from 'node:zlib';

export type GitHttpFaults = {
  /** Requests that are answered with this status, before git sees them. */
  status?: { on: 'fetch' | 'push'; code: number };
  /** Requests that are never answered. */
  hang?: 'fetch' | 'push';
  /** `before`: the connection is cut and nothing happens. `after`: the remote takes the push, the answer is lost. */
  drop?: 'before' | 'after';
};

export type GitHttpServer = {
  /** URL of a repository in the served folder. */
  url(name: string): string;
  /** Set at any time; empty again for a server without faults. */
  faults: GitHttpFaults;
  /** Runs when a push has been announced (refs are read) and before its pack is taken. */
  beforePush: (() => void | Promise<void>) | null;
  /**
   * Runs before each request of a fetch, or of a reading of refs, and before faults are looked at: a GET, a POST for
   * the refs, and a POST for objects where some are wanted.
   */
  beforeFetch: ((method: string) => void | Promise<void>) | null;
  /** `METHOD path`, with the Authorization header that came. */
  requests: { line: string; authorization: string | undefined }[];
  close(): Promise<void>;
};

/** Serves every repository below `root`; with `auth`, only to who logs in with basic authentication. */
export async function serveGit(
  root: string,
  options: { auth?: { user: string; password: string } } = {},
): Promise<GitHttpServer> {
  const expected =
    options.auth === undefined
      ? undefined
      : `Basic ${Buffer.from(`${options.auth.user}:${options.auth.password}`).toString('base64')}`;

  const http = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const { authorization } = request.headers;
    server.requests.push({ line: `${request.method} ${url.pathname}${url.search}`, authorization });
    if (expected !== undefined && authorization !== expected) {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="test"' }).end('log in');
      return;
    }
    const push = url.pathname.endsWith('/git-receive-pack') || url.search.includes('git-receive-pack');
    const side = push ? 'push' : 'fetch';
    if (side === 'fetch') await server.beforeFetch?.(request.method ?? '');
    const { status, hang, drop } = server.faults;
    if (status?.on === side) {
      response.writeHead(status.code).end('no');
      return;
    }
    if (hang === side) return;
    const takes = push && request.method === 'POST';
    if (takes && server.beforePush !== null) await server.beforePush();
    if (takes && drop === 'before') {
      request.socket.destroy();
      return;
    }
    await backend(request, url, response, takes && drop === 'after');
  }

  function backend(request: IncomingMessage, url: URL, response: ServerResponse, loseAnswer: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const cgi = spawn('git', ['http-backend'], {
        env: {
          PATH: process.env.PATH,
          GIT_PROJECT_ROOT: root,
          GIT_HTTP_EXPORT_ALL: '1',
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
          REMOTE_USER: 'someone',
          REMOTE_ADDR: '127.0.0.1',
          REQUEST_METHOD: request.method,
          PATH_INFO: decodeURIComponent(url.pathname),
          QUERY_STRING: url.search.slice(1),
          CONTENT_TYPE: request.headers['content-type'] ?? '',
        },
      });
      const gzip = request.headers['content-encoding'] === 'gzip';
      (gzip ? request.pipe(createGunzip()) : request).pipe(cgi.stdin);
      cgi.stdin.on('error', () => undefined);
      cgi.on('error', reject);
      const out: Buffer[] = [];
      cgi.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      cgi.on('close', () => {
        if (loseAnswer) {
          request.socket.destroy();
          return resolve();
        }
        const answer = Buffer.concat(out);
        const end = answer.indexOf('\r\n\r\n');
        const headers = answer.toString('latin1', 0, end).split('\r\n');
        let code = 200;
        for (const header of headers) {
          const [name = '', value = ''] = header.split(/:\s*/, 2);
          if (name.toLowerCase() === 'status') code = Number.parseInt(value, 10);
          else if (name !== '') response.setHeader(name, value);
        }
        response.writeHead(code);
        response.end(answer.subarray(end + 4), () => resolve());
      });
    });
  }

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const server: GitHttpServer = {
    url: (name) => `http://127.0.0.1:${port}/${name}`,
    faults: {},
    beforePush: null,
    beforeFetch: null,
    requests: [],
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}
