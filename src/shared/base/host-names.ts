/** Host names as the network's rules compare them: one normal form for each name, and no address in any notation. Pure. */

export type HostCheck = { ok: true; host: string } | { ok: false; reason: string };

const MAX_CHARS = 1_024;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * The normal form of a host name: lower case, without its trailing dot, international names in punycode (by the URL
 * standard's rules, UTS 46). Whatever a URL parser would read as an IP address (dotted, octal, hexadecimal, one
 * integer, full-width digits, IPv6) is refused, and so is what only some parsers decode: percent-encoding, control
 * characters, user info.
 */
export function normaliseHost(text: string): HostCheck {
  const refused = (reason: string): HostCheck => ({ ok: false, reason });
  if (text === '') return refused('it is empty');
  if (text.length > MAX_CHARS) return refused('it is too long');
  // What is told of here: C0, space, DEL, C1 and no-break space; half of a surrogate pair.
  if (/[\p{Cc}\s]/u.test(text)) return refused('it has a control character or white space');
  if (/\p{Cs}/u.test(text)) return refused('it is no Unicode text');
  if (text.includes('%')) return refused('it is percent-encoded');
  if (/[[\]:]/.test(text)) return refused('it is an IP address, not a name');
  if (/[@/\\?#<>^|`{}"*]/.test(text)) return refused('it has a character that no host name has');
  let host: string;
  try {
    host = new URL(`http://${text}/`).hostname;
  } catch {
    // The URL parser's own words ("Invalid URL") say less.
    return refused('it is not a valid host name');
  }
  if (/^[\d.]+$/.test(host) || host.startsWith('[')) return refused('it is an IP address, not a name');
  if (host.endsWith('.')) host = host.slice(0, -1);
  if (host.length > 253 || !host.split('.').every((label) => LABEL.test(label))) {
    return refused('it is not a valid host name');
  }
  return { ok: true, host };
}
