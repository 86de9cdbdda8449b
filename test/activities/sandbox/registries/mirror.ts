/** A mirror as a company has one: indexes of npm, PyPI, cargo and Go, whose files are on another port of this machine. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const HASH = '0'.repeat(64);

async function serve(
  name: string,
  listener: RequestListener,
): Promise<{ server: Server; origin: string; entry: string }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const entry = `${name}:${(server.address() as AddressInfo).port}`;
  return { server, origin: `http://${entry}`, entry };
}

/** @param name by which it is asked. @returns `index` and `files`: entries of an allowlist. The files themselves are not there. */
export async function startMirror(name = 'localhost') {
  const asked: string[] = [];
  const files = await serve(name, (_request, response) => void response.writeHead(404).end());
  const module = '/go/github.com/google/uuid/@v/v1.6.0';
  const answers: Record<string, string> = {
    '/npm/isarray': JSON.stringify({
      name: 'isarray',
      'dist-tags': { latest: '2.0.5' },
      versions: {
        '2.0.5': {
          name: 'isarray',
          version: '2.0.5',
          dist: { tarball: `${files.origin}/isarray-2.0.5.tgz`, shasum: HASH.slice(0, 40) },
        },
      },
    }),
    '/simple/six/': `<a href="${files.origin}/six-1.16.0-py2.py3-none-any.whl#sha256=${HASH}">six</a>`,
    '/cargo/config.json': JSON.stringify({ dl: `${files.origin}/crates` }),
    '/cargo/it/oa/itoa': `${JSON.stringify({ name: 'itoa', vers: '1.0.0', deps: [], cksum: HASH, features: {}, yanked: false })}\n`,
    [`${module}.info`]: JSON.stringify({ Version: 'v1.6.0', Time: '2024-01-16T00:00:00Z' }),
    [`${module}.mod`]: 'module github.com/google/uuid\n',
  };
  const index = await serve(name, (request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const text = answers[path];
    if (path === `${module}.zip`) response.writeHead(302, { Location: `${files.origin}/uuid.zip` }).end();
    else if (text === undefined) response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'Content-Type': path.startsWith('/simple') ? 'text/html' : 'application/json' })
        .end(text);
  });
  return {
    origin: index.origin,
    index: index.entry,
    files: files.entry,
    asked,
    close() {
      for (const { server } of [index, files]) {
        server.closeAllConnections();
        server.close();
      }
    },
  };
}
export type Mirror = Awaited<ReturnType<typeof startMirror>>;
