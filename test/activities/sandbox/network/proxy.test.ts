import { once } from 'node:events';
import { connect as connectTo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectByTcp } from '../../../../src/activities/sandbox/network/dial.ts';
import { outside, PUBLIC, type TestProxy, testProxy, type TestProxyOptions } from './support.ts';

const ALLOW = ['allowed.example', '*.wild.example', 'ports.example:8443', 'bücher.example'];
const utf8 = (text: string) => Buffer.from(text).toString('latin1');

let web: Awaited<ReturnType<typeof outside>>;
let proxy: TestProxy;
beforeAll(async () => {
  web = await outside((request, response) => {
    if (request.url === '/redirect') response.writeHead(302, { Location: 'http://evil.example/stolen' }).end();
    else response.writeHead(200, { 'X-Here': 'yes', Connection: 'X-Hop', 'X-Hop': 'no' }).end('outside');
  });
});
afterAll(() => web.close());
afterEach(() => {
  proxy.close();
  web.requests.length = 0;
});
const open = async (options: Partial<TestProxyOptions> = {}) => {
  proxy = await testProxy(web, { allow: ALLOW, ...options });
};
const connectVia = (authority: string, more = '') =>
  proxy.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${more}\r\n`, 'established\r\n\r\n');
const get = (url: string, host = /\/\/([^/]*)/.exec(url)?.[1] ?? '') =>
  proxy.send(`GET ${url} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);

describe('CONNECT', () => {
  it.each([
    ['allowed.example:443', 'allowed.example:443'],
    ['ALLOWED.Example:443', 'allowed.example:443'],
    ['allowed.example.:443', 'allowed.example:443'],
    ['allowed.example:80', 'allowed.example:80'],
    ['a.b.wild.example:443', 'a.b.wild.example:443'],
    ['ports.example:8443', 'ports.example:8443'],
    ['xn--bcher-kva.example:443', 'xn--bcher-kva.example:443'],
  ])('to %s goes to %s', async (authority, dialled) => {
    await open();
    expect(await connectVia(authority)).toMatch(/^HTTP\/1.1 200 /);
    expect(proxy.dialled).toEqual([`${dialled} at ${PUBLIC.address}`]);
  });

  it.each([
    ...['evil.example:443', 'xallowed.example:443', 'allowed.example.evil.example:443', 'sub.allowed.example:443'],
    ...['wild.example:443', 'xwild.example:443', '.wild.example:443', 'evil.example:443.wild.example'],
    ...['allowed.example:22', 'allowed.example:8443', 'ports.example:443', 'localhost:443', 'metadata:80'],
    ...['allowed.example:0443', 'allowed.example:+443', 'allowed.example: 443', 'allowed.example:443:443'],
    ...['allowed.example:65979', 'allowed.example', 'allowed.example:', ':443', 'allowed.example:0x1bb'],
    ...['allowed.example..:443', 'allowed..example:443', 'a%2ewild.example:443', 'evil.example%00.wild.example:443'],
    ...['evil.example%2f.wild.example:443', 'user@allowed.example:443', 'evil.example@allowed.example:443'],
    ...['allowed.example@evil.example:443', 'evil.example/.wild.example:443', 'evil.example#.wild.example:443'],
    ...['evil.example?.wild.example:443', 'evil.example\\.wild.example:443', 'http://allowed.example:443'],
    ...['127.0.0.1:443', '127.1:443', '0x7f000001:443', '2130706433:443', '0177.0.0.1:443', '127.0.0.1.:443'],
    ...['[::1]:443', '[::ffff:127.0.0.1]:443', '[::ffff:7f00:1]:443', '[fe80::1%25eth0]:443', '::1:443', '0:443'],
    ...[
      utf8('１２７.0.0.1:443'),
      utf8('127。0。0。1:443'),
      utf8('аllowed.example:443'),
      utf8('bücher.example.evil:443'),
    ],
    ...['evil.example\0.wild.example:443', 'allowed.example\0:443', 'evil.example\t.wild.example:443', '*:443', '/'],
  ])('to %j connects to nothing, and is logged', async (authority) => {
    await open();
    expect(await connectVia(authority)).toMatch(/^HTTP\/1.1 4\d\d /);
    expect({ dialled: proxy.dialled, resolved: proxy.resolved }).toEqual({ dialled: [], resolved: [] });
    expect(proxy.refusals).toHaveLength(1);
  });

  it('with a Host header that says another host, or with a body, is refused', async () => {
    await open();
    const ask = (headers: string) => proxy.send(`CONNECT allowed.example:443 HTTP/1.1\r\n${headers}\r\n\r\n`);
    const answers = [
      await ask('Host: evil.example:443'),
      await ask('Host: allowed.example\r\nHost: evil.example'),
      await ask('Host: allowed.example:80'),
      await ask('Host: allowed.example\r\nTransfer-Encoding: chunked'),
      await ask('Host: allowed.example\r\nContent-Length: 5'),
    ];
    expect(answers.map((answer) => answer.slice(0, 12))).toEqual(Array(5).fill('HTTP/1.1 400'));
    expect(proxy.dialled).toEqual([]);
  });

  it('carries bytes both ways, those too that came with the request', async () => {
    await open();
    const request = 'GET /inner HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    const said = await proxy.send(`CONNECT allowed.example:80 HTTP/1.1\r\nHost: allowed.example:80\r\n\r\n${request}`);
    expect(said).toMatch(/ 200 Connection established[^]*X-Here: yes[^]*outside/);
    expect(web.requests).toMatchObject([{ url: '/inner' }]);
  });

  it('says to the agent what is not allowed, what is, and where that is set', async () => {
    await open();
    const said = await connectVia('evil.example:443');
    const sentence = `evil.example port 443 is not on this run's allowlist (sandbox.network.allow). Allowed: allowed.example, *.wild.example, ports.example:8443, xn--bcher-kva.example. Trying again will not help: do without it, or report it as a concern.`;
    expect(said).toContain(`HTTP/1.1 403 ${sentence}\r\n`);
    expect(said).toContain(`\r\n\r\nAgentSwarm: ${sentence}\n`);
    expect(proxy.refusals).toMatchObject([{ reason: 'not on the allowlist', host: 'evil.example', port: 443 }]);
  });
});

describe('plain HTTP', () => {
  it('is asked anew, end to end: without hop-by-hop headers, with the host in its normal form', async () => {
    await open();
    const said = await proxy.send(
      'POST http://ALLOWED.example./path?q=1 HTTP/1.1\r\nHost: allowed.example\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nProxy-Authorization: Basic eA==\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 4\r\n\r\nbody',
    );
    expect(said).toMatch(/^HTTP\/1.1 200 OK[^]*X-Here: yes[^]*outside/);
    expect(said).not.toContain('X-Hop');
    const headers = ['X-Kept', '1', 'Content-Length', '4', 'Host', 'allowed.example', 'Connection', 'close'];
    expect(web.requests).toMatchObject([{ method: 'POST', url: '/path?q=1', body: 'body' }]);
    expect(web.requests[0]?.headers.toSorted()).toEqual(headers.toSorted());
  });

  it.each([
    ...['http://evil.example/', 'http://allowed.example:22/', 'http://127.0.0.1/', 'http://[::1]/', 'http://0x7f.1/'],
    ...['http://allowed.example@evil.example/', 'http://evil.example\\@allowed.example/', 'http:///allowed.example/'],
    ...['http://evil.example#@allowed.example/', 'http://evil.example%00.wild.example/', 'http:allowed.example/'],
    ...['https://allowed.example/', 'ftp://allowed.example/', 'file:///etc/passwd', 'unix:/run/x', 'gopher://x/'],
    ...['HTTP://evil.example/', 'http://allowed.example/a#b', 'http://allowed.example/a\\b', '//allowed.example/', '*'],
    ...['/', '/proxy.pac', 'http://allowed.example:80:80/', 'http://', 'http://?x'],
  ])('for %s connects to nothing', async (url) => {
    await open();
    expect(await get(url, 'allowed.example')).toMatch(/^HTTP\/1.1 4\d\d /);
    expect(proxy.dialled).toEqual([]);
    expect(proxy.refusals).toHaveLength(1);
  });

  it('hands a redirect back, which is checked when it is followed', async () => {
    await open();
    const said = await get('http://allowed.example/redirect');
    expect(said).toMatch(/^HTTP\/1.1 302 [^]*Location: http:\/\/evil.example\/stolen\r\n/);
    expect(await get('http://evil.example/stolen')).toMatch(/^HTTP\/1.1 403/);
    expect(proxy.dialled).toHaveLength(1);
  });

  const smuggled = 'GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n';
  it.each([
    ['two lengths', 'Content-Length: 0\r\nContent-Length: 60'],
    ['the same length twice', 'Content-Length: 0\r\nContent-Length: 0'],
    ['a list of lengths', 'Content-Length: 0, 60'],
    ['a signed length', 'Content-Length: +0'],
    ['a hexadecimal length', 'Content-Length: 0x0'],
    ['a length and chunks', 'Content-Length: 60\r\nTransfer-Encoding: chunked'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 60'],
    ['chunks twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
    ['chunks of chunks', 'Transfer-Encoding: chunked, chunked'],
    ['another coding', 'Transfer-Encoding: xchunked'],
    ['identity', 'Transfer-Encoding: identity'],
    ['compressed chunks', 'Transfer-Encoding: gzip, chunked'],
    ['a coding with another case', 'Transfer-Encoding: cHuNkEd'],
    ['a space before the colon', 'Transfer-Encoding : chunked'],
    ['a folded header', 'X: 1\r\n Transfer-Encoding: chunked'],
    ['a line without CR', 'X: 1\nTransfer-Encoding: chunked'],
    ['a CR in a value', 'X: 1\rHost: evil.example'],
    ['a null byte in a value', 'X: 1\0'],
    ['a null byte in a name', 'X\0: 1'],
    ['another host', 'Host: evil.example'],
    ['no host name', 'Host: '],
    ['a host with a user', 'Host: allowed.example@evil.example'],
  ])('with %s is refused before anything is connected', async (_what, headers) => {
    await open();
    const host = headers.startsWith('Host') ? '' : 'Host: allowed.example\r\n';
    const said = await proxy.send(`POST http://allowed.example/ HTTP/1.1\r\n${host}${headers}\r\n\r\n${smuggled}`);
    expect(said).toMatch(/^HTTP\/1.1 4\d\d /);
    expect({ dialled: proxy.dialled, seen: web.requests }).toEqual({ dialled: [], seen: [] });
  });

  it('checks each request of a connection by itself, those too that were hidden in a body', async () => {
    await open();
    const first = 'GET http://allowed.example/1 HTTP/1.1\r\nHost: allowed.example\r\nContent-Length: 0\r\n\r\n';
    const said = await proxy.send(`${first}${smuggled}`);
    expect(said).toMatch(/^HTTP\/1.1 200 OK[^]*HTTP\/1.1 403 /);
    const inBody = `POST http://allowed.example/2 HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`;
    expect(await proxy.send(inBody)).toMatch(/^HTTP\/1.1 200 OK/);
    expect(web.requests.map(({ url, body }) => [url, body.length])).toEqual([
      ['/1', 0],
      ['/2', smuggled.length],
    ]);
    expect(proxy.dialled).toHaveLength(2);
  });

  it('writes chunks anew, and ends both sides when they are broken', async () => {
    await open();
    const head = 'POST http://allowed.example/c HTTP/1.1\r\nHost: allowed.example\r\nTransfer-Encoding: chunked\r\n';
    const said = await proxy.send(`${head}Connection: close\r\n\r\n4;x=y\r\nbody\r\n0\r\nX-Trailer: 1\r\n\r\n`);
    expect(said).toMatch(/^HTTP\/1.1 200/);
    expect(web.requests).toMatchObject([{ body: 'body' }]);
    expect(web.requests[0]?.headers.join()).not.toContain('X-Trailer');
    await proxy.send(`${head}\r\n4\r\nbody\r\n-1\r\n${smuggled}`);
    await proxy.send(`${head}\r\n4\r\nbodyX\r\n0\r\n\r\n${smuggled}`);
    expect(web.requests).toHaveLength(1);
  });
});

describe('an allowed name', () => {
  it.each([
    ...['127.0.0.1', '10.0.0.1', '172.16.9.9', '192.168.1.1', '169.254.169.254', '100.100.100.200', '0.0.0.0'],
    ...['224.0.0.1', '255.255.255.255', '192.0.0.192', '198.18.0.1', '168.63.129.16', '240.0.0.1', '192.88.99.1'],
    ...['::1', '::', '::ffff:10.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', 'fe80::1', 'fc00::1', 'fd00:ec2::254'],
    ...['ff02::1', '2002:7f00:1::', '2001::1', '2001:db8::1', '::127.0.0.1', 'fec0::1', '5f00::1'],
  ])('that leads to %s is refused', async (address) => {
    await open({ resolve: () => Promise.resolve([{ address, family: address.includes(':') ? 6 : 4 }]) });
    const said = await connectVia('allowed.example:443');
    expect(said).toMatch(/^HTTP\/1.1 403 allowed\.example is allowed, but its address/);
    expect(proxy.dialled).toEqual([]);
    expect(proxy.refusals).toMatchObject([{ reason: 'private address', host: 'allowed.example' }]);
  });

  it('is resolved once for each connection, which goes to nothing but what was checked', async () => {
    const answers = [[PUBLIC], [{ address: '127.0.0.1', family: 4 }], [{ address: '10.0.0.1', family: 4 }, PUBLIC]];
    await open({ resolve: () => Promise.resolve(answers.shift() ?? []) });
    expect(await connectVia('allowed.example:80')).toMatch(/ 200 /);
    expect(await connectVia('allowed.example:80')).toMatch(/ 403 /);
    expect(await connectVia('allowed.example:80')).toMatch(/ 200 /);
    expect(proxy.resolved).toHaveLength(3);
    expect(proxy.dialled).toEqual(Array(2).fill(`allowed.example:80 at ${PUBLIC.address}`));
  });

  it('may lead to a private address that the configuration names, and there only', async () => {
    const resolve = (host: string) =>
      Promise.resolve([{ address: host.startsWith('a.') ? '127.0.0.1' : '127.0.0.2', family: 4 }]);
    const allow = [`*.wild.example:${web.port}`];
    await open({ allow, resolve, privateAddresses: ['127.0.0.1/32', 'fd00::/8'], connect: connectByTcp });
    expect(await get(`http://a.wild.example:${web.port}/here`)).toMatch(/ 200 OK[^]*outside/);
    expect(await get(`http://b.wild.example:${web.port}/here`)).toMatch(/ 403 b\.wild\.example is allowed, but/);
    expect(web.requests).toMatchObject([{ url: '/here' }]);
  });

  it('that has no address, or where nobody answers, is told so', async () => {
    await open({ resolve: () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' })) });
    expect(await connectVia('allowed.example:443')).toMatch(/^HTTP\/1.1 502 .*could not be resolved \(ENOTFOUND\)/);
    proxy.close();
    await open({ connect: () => connectTo({ port: 1, host: '127.0.0.1' }) });
    expect(await connectVia('allowed.example:443')).toMatch(/^HTTP\/1.1 502 .*could not be reached: ECONNREFUSED/);
  });
});

describe('what is no HTTP', () => {
  it('SOCKS is refused in its own words', async () => {
    await open();
    const five = Buffer.from([5, 2, 0, 2]);
    expect(Buffer.from(await proxy.send(five), 'latin1')).toEqual(Buffer.from([5, 0xff]));
    const four = Buffer.from([4, 1, 1, 187, 0, 0, 0, 1, 0x78, 0, ...Buffer.from('allowed.example'), 0]);
    expect(Buffer.from(await proxy.send(four), 'latin1').subarray(0, 2)).toEqual(Buffer.from([0, 0x5b]));
    expect(proxy.refusals.map(({ reason }) => reason)).toEqual(['SOCKS', 'SOCKS']);
    expect(proxy.dialled).toEqual([]);
  });

  it.each([
    ['a TLS greeting', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])],
    ['binary', Buffer.from([0, 1, 2, 3, 0xff])],
    ['a HAProxy preface', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n')],
    ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['HTTP/0.9', Buffer.from('GET http://allowed.example/\r\n\r\n')],
  ])('%s gets an answer that says so', async (_what, bytes) => {
    await open();
    expect(await proxy.send(bytes)).toMatch(/^HTTP\/1.1 4\d\d /);
    expect(proxy.dialled).toEqual([]);
    expect(proxy.refusals).toHaveLength(1);
  });
});

describe('limits', () => {
  it('of headers are told', async () => {
    await open({ limits: { headerBytes: 2_000 } });
    expect(await connectVia('allowed.example:443', `X: ${'x'.repeat(3_000)}\r\n`)).toMatch(/^HTTP\/1.1 431 /);
    expect(proxy.refusals).toMatchObject([{ reason: 'header size' }]);
  });

  it('of connections close those that are too many', async () => {
    await open({ limits: { connections: 2 } });
    const kept = [proxy.client(), proxy.client()];
    await Promise.all(kept.map((socket) => once(socket, 'connect')));
    for (const socket of kept) socket.write('CONNECT allowed.example:80 HTTP/1.1\r\nHost: allowed.example:80\r\n\r\n');
    await Promise.all(kept.map((socket) => once(socket, 'data')));
    expect(await connectVia('allowed.example:443')).toBe('');
    expect(proxy.refusals).toMatchObject([{ reason: 'limit' }]);
    expect(proxy.dialled).toHaveLength(2);
  });

  it('of bytes end all connections, and no other is made', async () => {
    await open({ limits: { bytes: 10_000 } });
    const socket = proxy.client().on('error', () => undefined);
    socket.write('CONNECT allowed.example:80 HTTP/1.1\r\nHost: allowed.example:80\r\n\r\n');
    await once(socket, 'data');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write('x'.repeat(20_000));
    await closed;
    expect(await connectVia('allowed.example:443')).toMatch(/ 503 This command's limit of 10000 bytes is reached/);
    expect(proxy.dialled).toEqual([`allowed.example:80 at ${PUBLIC.address}`, 'over bytes']);
  });

  it('of silence end a tunnel', async () => {
    await open({ limits: { idleMs: 100 } });
    const socket = proxy.client();
    socket.write('CONNECT allowed.example:80 HTTP/1.1\r\nHost: allowed.example:80\r\n\r\n');
    await once(socket, 'data');
    await once(socket, 'close');
    expect(proxy.dialled).toHaveLength(1);
  });

  it('of the command end what is open, and what is being connected', async () => {
    let resolveLater: (value: (typeof PUBLIC)[]) => void = () => undefined;
    const late = new Promise<(typeof PUBLIC)[]>((resolve) => (resolveLater = resolve));
    const before = web.connections();
    await open({ resolve: (host) => (host === 'allowed.example' ? Promise.resolve([PUBLIC]) : late) });
    const [first, second] = [proxy.client(), proxy.client()];
    first.write('CONNECT allowed.example:80 HTTP/1.1\r\nHost: allowed.example:80\r\n\r\n');
    second.write('CONNECT late.wild.example:80 HTTP/1.1\r\nHost: late.wild.example:80\r\n\r\n');
    await once(first, 'data');
    await expect.poll(() => proxy.resolved.length).toBe(2);
    proxy.account.close();
    await Promise.all([once(first, 'close'), once(second, 'close')]);
    resolveLater([PUBLIC]);
    await expect.poll(() => proxy.dialled.length).toBe(2);
    await expect.poll(() => web.connections()).toBeGreaterThan(before);
    expect(web.requests).toEqual([]);
  });
});
