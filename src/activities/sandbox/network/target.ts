/** Which host and port a proxy request is for. What can be read in two ways is refused. */
import { normaliseHost } from '../../../shared/base/host-names.ts';
import { parsePort } from '../../../shared/contracts/network.ts';
import { badHost, badRequest } from './refusal.ts';

export type Target = { host: string; port: number };

/** Names and values in turn, as in `IncomingMessage.rawHeaders`. */
export type RawHeaders = readonly string[];

/** Of `CONNECT host:port`. @throws Refusal */
export function connectTarget(authority: string, headers: RawHeaders): Target {
  const target = parseAuthority(authority, undefined);
  checkFraming(headers);
  if (valuesOf(headers, 'transfer-encoding').length > 0 || valuesOf(headers, 'content-length').some((v) => v !== '0')) {
    throw badRequest('body with CONNECT', 'A CONNECT request has no body.');
  }
  checkHost(headers, target, undefined);
  return target;
}

/** Of `GET http://host/path`, with the path and query to ask for. @throws Refusal */
export function absoluteTarget(url: string, headers: RawHeaders): Target & { path: string } {
  const [, scheme = '', authority = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\]*)(.*)$/is.exec(url) ?? [];
  if (scheme.toLowerCase() !== 'http') {
    throw badRequest(
      'scheme',
      scheme.toLowerCase() === 'https'
        ? 'https goes through CONNECT, not through a plain request: this client does not speak to proxies as usual.'
        : 'This is a proxy for http and https: ask it by CONNECT host:port, or for http://host/path.',
    );
  }
  if (/[\\#\0-\x20\x7f]/.test(rest)) throw badRequest('bad path', 'The path has a character that must be encoded.');
  const target = parseAuthority(authority, 80);
  checkFraming(headers);
  checkHost(headers, target, 80);
  return { ...target, path: rest.startsWith('/') ? rest : `/${rest}` };
}

/** At most one of Content-Length and Transfer-Encoding, once, in the one form that all parsers read alike. @throws Refusal */
export function checkFraming(headers: RawHeaders): void {
  const lengths = valuesOf(headers, 'content-length');
  const codings = valuesOf(headers, 'transfer-encoding');
  const clear =
    lengths.length + codings.length <= 1 &&
    lengths.every((value) => /^\d{1,15}$/.test(value)) &&
    codings.every((value) => value === 'chunked');
  if (!clear) {
    throw badRequest(
      'request smuggling',
      'The length of the request is not clear (Content-Length, Transfer-Encoding).',
    );
  }
}

export function valuesOf(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.toLowerCase() === name) values.push(headers[i + 1] ?? '');
  }
  return values;
}

/** HTTP/0.9 has no headers, and 1.1 without Host has no clear target. @throws Refusal */
export function checkVersion(version: string, headers: RawHeaders): void {
  if (version === '1.0' || (version === '1.1' && valuesOf(headers, 'host').length === 1)) return;
  throw badRequest('malformed request', 'Requests are HTTP/1.0, or HTTP/1.1 with one Host header.');
}

/** The Host header, of which there is one at most, says what the request line says. */
function checkHost(headers: RawHeaders, target: Target, defaultPort: number | undefined): void {
  const values = valuesOf(headers, 'host');
  const [value] = values;
  if (value === undefined) return;
  const named = parseAuthority(value, defaultPort ?? target.port);
  if (values.length > 1 || named.host !== target.host || named.port !== target.port) {
    throw badRequest('Host differs', 'The Host header names another host than the request line.');
  }
}

/** Not even the user info of a URL is taken: two parsers may see two hosts in `a@b`. */
function parseAuthority(text: string, defaultPort: number | undefined): Target {
  const [, name = '', portText] = /^(.*?)(?::([^:\]]*))?$/s.exec(text) ?? [];
  const host = normaliseHost(decodeWire(name));
  if (!host.ok) throw badHost(host.reason);
  const port = portText === undefined ? defaultPort : parsePort(portText);
  if (port === undefined) throw badHost('it has no port from 1 to 65535');
  return { host: host.host, port };
}

/** Node gives the bytes of a request line as Latin-1; names beyond ASCII are UTF-8. */
function decodeWire(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(text, 'latin1'));
  } catch {
    throw badHost('it is no Unicode text');
  }
}
