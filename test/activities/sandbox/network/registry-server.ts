/** A private registry over TLS that speaks npm, pip, cargo and go, and gives nothing without its token. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '../../../support/repos.ts';

type Answer = { type?: string; body?: string | Buffer; status?: number; headers?: Record<string, string> };

/** @param authorizations what `Authorization` must be, by the first part of the path. */
export async function registryServer(authorizations: Readonly<Record<string, string>>) {
  const folder = temporaryFolder('agentswarm-registry-');
  const certificate = selfSigned(folder.dir);
  const requests: { method: string; url: string; authorization: string | undefined }[] = [];
  const server = createServer(certificate, (request, response) => {
    const { method = '', url = '' } = request;
    requests.push({ method, url, authorization: request.headers.authorization });
    const { status = 200, type = 'application/octet-stream', body = '', headers = {} } = answer(request);
    send(response, status, { 'Content-Type': type, ...headers }, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `https://registry.test:${port}`;
  const files = packages(folder.dir, origin);

  function answer(request: IncomingMessage): Answer {
    const { url = '', headers } = request;
    const [path = ''] = url.split('?');
    const expected = authorizations[path.split('/')[1] ?? ''];
    if (expected === undefined || headers.authorization !== expected) return { status: 401, body: 'who are you?' };
    if (path.endsWith('/echo')) {
      const repeated = JSON.stringify({ you: request.rawHeaders, sent: headers.authorization });
      const more = { 'X-You': headers.authorization, 'Set-Cookie': `t=${headers.authorization}` };
      return { type: 'application/json', body: repeated, headers: more };
    }
    if (path.endsWith('/out')) return { status: 302, headers: { Location: 'https://cdn.test/file?signed=1' } };
    if (path.endsWith('/in')) return { status: 307, headers: { Location: '/team/dep' } };
    return files[path] ?? { status: 404, body: `no ${path}` };
  }

  return {
    port,
    origin,
    ca: certificate.cert,
    requests,
    /** The one package of npm, for lockfiles. */
    integrity: files['/team/dep/-/dep-1.0.0.tgz']?.headers?.['X-Integrity'] ?? '',
    close: () => {
      server.closeAllConnections();
      server.close();
      folder.remove();
    },
  };
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: string | Buffer): void {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function selfSigned(dir: string): { key: string; cert: string } {
  const at = (name: string) => join(dir, name);
  run(dir, 'openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=registry.test'],
    ...['-addext', 'subjectAltName=DNS:registry.test', '-keyout', at('key.pem'), '-out', at('cert.pem')],
  ]);
  return { key: readFileSync(at('key.pem'), 'utf8'), cert: readFileSync(at('cert.pem'), 'utf8') };
}

/** By path. URLs in them are the registry's own and absolute, as real ones give them. */
function packages(dir: string, origin: string): Record<string, Answer> {
  const npm = archive(dir, 'npm', {
    'package/package.json': '{"name":"dep","version":"1.0.0","main":"index.js"}',
    'package/index.js': 'module.exports = "from npm";',
  });
  const crate = archive(dir, 'crate', {
    'tinycrate-1.0.0/Cargo.toml': '[package]\nname = "tinycrate"\nversion = "1.0.0"\nedition = "2021"\n',
    'tinycrate-1.0.0/src/lib.rs': 'pub fn from() -> &\'static str { "from cargo" }\n',
  });
  const wheel = zip(dir, 'wheel.zip', {
    'tiny_wheel.py': 'said = "from pip"\n',
    'tiny_wheel-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n',
    'tiny_wheel-1.0.dist-info/WHEEL': 'Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    'tiny_wheel-1.0.dist-info/RECORD': '',
  });
  const goMod = 'module private.test/tiny\n\ngo 1.21\n';
  const module = zip(dir, 'module.zip', {
    'private.test/tiny@v1.0.0/go.mod': goMod,
    'private.test/tiny@v1.0.0/tiny.go': 'package tiny\n\nconst Said = "from go"\n',
  });
  const integrity = `sha512-${createHash('sha512').update(npm).digest('base64')}`;
  const tarball = `${origin}/team/dep/-/dep-1.0.0.tgz`;
  const version = { name: 'dep', version: '1.0.0', dist: { tarball, integrity } };
  const indexed = { name: 'tinycrate', vers: '1.0.0', deps: [], cksum: sha256(crate), features: {}, yanked: false };
  const json = (value: unknown): Answer => ({ type: 'application/json', body: JSON.stringify(value) });
  const file = (body: string | Buffer): Answer => ({ body });
  return {
    '/team/dep': json({ name: 'dep', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': version } }),
    '/team/dep/-/dep-1.0.0.tgz': { body: npm, headers: { 'X-Integrity': integrity } },
    '/pip/simple/tiny-wheel/': {
      type: 'text/html',
      body: `<a href="${origin}/pip/simple/files/tiny_wheel-1.0-py3-none-any.whl#sha256=${sha256(wheel)}">tiny_wheel-1.0-py3-none-any.whl</a>`,
    },
    '/pip/simple/files/tiny_wheel-1.0-py3-none-any.whl': file(wheel),
    '/cargo/index/config.json': json({ dl: `${origin}/cargo/index/dl/{crate}/{version}`, 'auth-required': true }),
    '/cargo/index/ti/ny/tinycrate': { type: 'text/plain', body: `${JSON.stringify(indexed)}\n` },
    '/cargo/index/dl/tinycrate/1.0.0': file(crate),
    '/go/private.test/tiny/@v/list': file('v1.0.0\n'),
    '/go/private.test/tiny/@v/v1.0.0.info': json({ Version: 'v1.0.0', Time: '2024-01-01T00:00:00Z' }),
    '/go/private.test/tiny/@v/v1.0.0.mod': file(goMod),
    '/go/private.test/tiny/@v/v1.0.0.zip': file(module),
  };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function archive(dir: string, name: string, files: Record<string, string>): Buffer {
  writeAll(join(dir, name), files);
  const top = Object.keys(files)[0]?.split('/')[0] ?? '.';
  run(join(dir, name), 'tar', ['-czf', join(dir, `${name}.tgz`), top]);
  return readFileSync(join(dir, `${name}.tgz`));
}

function zip(dir: string, name: string, files: Record<string, string>): Buffer {
  const script =
    'import json,sys,zipfile\nz=zipfile.ZipFile(sys.argv[1],"w")\nfor n,t in json.load(sys.stdin).items(): z.writestr(n,t)\nz.close()';
  run(dir, 'python3', ['-c', script, join(dir, name)], JSON.stringify(files));
  return readFileSync(join(dir, name));
}

function writeAll(dir: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
}

function run(cwd: string, program: string, argv: readonly string[], input?: string): void {
  const { status, stderr, error } = spawnSync(program, argv, { cwd, ...(input === undefined ? {} : { input }) });
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')}: ${error?.message ?? stderr.toString()}`);
}
