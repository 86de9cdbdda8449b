import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { outside, type TestProxy, testProxy } from './support.ts';

const SEED = 20_481;
const RUNS = 10_000;
const ALLOW = ['allowed.example', '*.wild.example', 'ports.example:8443'];
/** Written apart from the code: what may be connected to. */
const LISTED = /^(?:allowed\.example:(?:443|80)|(?:[a-z0-9_-]+\.)+wild\.example:(?:443|80)|ports\.example:8443)$/;

let web: Awaited<ReturnType<typeof outside>>;
let proxy: TestProxy;
beforeAll(async () => {
  web = await outside();
  proxy = await testProxy(web, { allow: ALLOW, limits: { connections: 10_000 } });
});
afterAll(() => {
  proxy.close();
  web.close();
});

const listed = fc.constantFrom('allowed.example', 'a.wild.example', 'b.a.wild.example', 'ports.example');
const other = fc.constantFrom('evil.example', 'localhost', '127.0.0.1', '[::1]', '0x7f.1', '2130706433', 'metadata');
const odd = fc.constantFrom(
  ...['\0', '\t', ' ', '.', '..', '@', '/', '\\', '#', '?', '%00', '%2e', '%2f', ':', '::', '*', '-', '_', '\u00ad'],
  ...['。', '．', 'ａ', 'ß', 'İ', 'ı', 'ſ', 'K', '\u200d', '\ud800', '\u202e', '\u0300', '[', ']', ';', ',', '\x7f'],
);
const cased = fc
  .tuple(fc.oneof(listed, other), fc.bigInt({ min: 0n, max: 2n ** 20n }))
  .map(([name, bits]) => [...name].map((c, i) => ((bits >> BigInt(i)) & 1n ? c.toUpperCase() : c)).join(''));
const piece = fc.oneof(
  { weight: 4, arbitrary: listed },
  { weight: 2, arbitrary: cased },
  { weight: 2, arbitrary: other },
  { weight: 2, arbitrary: odd },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
);
/** Listed names, other names and odd characters put together, sometimes with one character more or less. */
const name = fc.oneof(
  cased,
  listed,
  fc.array(piece, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
  fc.tuple(listed, odd, fc.nat(16)).map(([host, c, at]) => host.slice(0, at) + c + host.slice(at)),
  fc.tuple(listed, fc.nat(16)).map(([host, at]) => host.slice(0, at) + host.slice(at + 1)),
);
const port = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(':443', ':80', ':8443', '') },
  { weight: 2, arbitrary: fc.constantFrom(':', ':0', ':0443', ':+80', ':443:443', ':65979', ': 443', ':4 43', ':22') },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 70_000 }).map((n) => `:${n}`) },
);
const rarely = (...values: string[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...values) });
const request = fc
  .record({
    name,
    port,
    user: rarely('allowed.example@', 'u:p@', 'evil.example\\@'),
    scheme: fc.constantFrom('http://', 'http://', 'http://', 'HTTP://', 'https://', '//', 'http:/', ''),
    path: fc.constantFrom('/', '/', '', '/a?b', '?q', '#f', '\\x', '/..//', '/@evil.example/'),
    connect: fc.boolean(),
    host: rarely('allowed.example', 'evil.example'),
  })
  .map(({ name: to, port: at, user, scheme, path, connect, host }) => {
    const authority = `${user ?? ''}${to}${at}`;
    const target = connect ? authority : `${scheme}${authority}${path}`;
    const line = `${connect ? 'CONNECT' : 'GET'} ${target} HTTP/1.1\r\n`;
    return Buffer.from(`${line}Host: ${host ?? `${to}${at}`}\r\nConnection: close\r\n\r\n`);
  });

it(`${RUNS} seeded host names and URLs make no connection to what is not listed`, { timeout: 120_000 }, async () => {
  const requests = fc.sample(request, { numRuns: RUNS, seed: SEED });
  const answers = new Map<string, number>();
  for (let i = 0; i < requests.length; i += 50) {
    const said = await Promise.all(requests.slice(i, i + 50).map((bytes) => proxy.send(bytes, '\r\n\r\n')));
    for (const each of said) {
      const status = /^HTTP\/1.1 (\d{3})/.exec(each)?.[1] ?? 'none';
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
  }
  const connected = proxy.dialled.map((to) => to.split(' at ')[0] ?? '');
  expect(connected.filter((to) => !LISTED.test(to))).toEqual([]);
  expect(proxy.resolved.filter((host) => !LISTED.test(`${host}:443`) && host !== 'ports.example')).toEqual([]);
  // The listener saw what the connect function saw; the rest was refused, with an answer.
  await expect.poll(() => web.connections()).toBe(connected.length);
  expect(answers.get('200')).toBe(connected.length);
  expect(proxy.refusals.length).toBe(RUNS - connected.length);
  // Neither all nor nothing: the names come near to those that are listed.
  expect(connected.length).toBeGreaterThan(RUNS / 20);
  expect(new Set(connected).size).toBeGreaterThan(10);
  expect(answers.get('403')).toBeGreaterThan(RUNS / 20);
});
