/** Which headers go through: those from end to end, and no framing but our own. */
import { type RawHeaders, valuesOf } from './target.ts';

/** RFC 9110, 7.6.1, and what only proxies are told. Framing is written anew. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info', 'http2-settings'],
]);

/** Names and values in turn, without hop-by-hop headers, those that `Connection` names, and those in `without`. */
export function endToEnd(headers: RawHeaders, without: readonly string[] = []): string[] {
  const named = valuesOf(headers, 'connection').flatMap((value) => value.toLowerCase().split(/[\s,]+/));
  const dropped = new Set([...HOP_BY_HOP, ...named, ...without]);
  const passed: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!dropped.has(name.toLowerCase())) passed.push(name, headers[i + 1] ?? '');
  }
  return passed;
}

/** A reason phrase that no parser can trip over. */
export const asReason = (text: string): string => text.replace(/[^\x20-\x7e]+/g, '?').slice(0, 300);
