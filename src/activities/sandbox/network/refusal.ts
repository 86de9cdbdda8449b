/** What the network's rules refuse, and the words for it: to the agent, and for the log. */
import type { Reach } from './reach.ts';

/** `status` is the HTTP answer. No part of `message` is taken from a request but names in their normal form. */
export class NetworkRefusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  /** In two or three words, for the log. */
  readonly reason: string;
  readonly host: string | undefined;
  readonly port: number | undefined;

  constructor(refused: { status?: number; reason: string; message: string; host?: string; port?: number }) {
    super(refused.message);
    this.status = refused.status ?? 403;
    this.reason = refused.reason;
    this.host = refused.host;
    this.port = refused.port;
  }
}

/** @param setting where the list is: `sandbox.network` or `setup.network`. */
export function notListed(to: { host: string; port: number }, reach: Reach, setting: string): NetworkRefusal {
  const list = (reach === 'public' ? [] : reach).map(({ host, subdomains, ports }) => {
    const shown = ports.length === 1 ? `:${ports[0]}` : '';
    return `${subdomains ? '*.' : ''}${host}${shown}`;
  });
  const rest = list.length > 20 ? `, and ${list.length - 20} more` : '';
  const allowed = list.length === 0 ? 'No host is allowed.' : `Allowed: ${list.slice(0, 20).join(', ')}${rest}.`;
  return new NetworkRefusal({
    reason: 'not on the allowlist',
    message: `${to.host} port ${to.port} is not on this run's allowlist (${setting}.allow). ${allowed} Trying again will not help: do without it, or report it as a concern.`,
    ...to,
  });
}

export const badHost = (why: string): NetworkRefusal =>
  new NetworkRefusal({
    status: 400,
    reason: 'bad host name',
    message: `The host name that was asked for is refused: ${why}. Connections are allowed by plain host names only.`,
  });

export const badRequest = (reason: string, message: string): NetworkRefusal =>
  new NetworkRefusal({ status: 400, reason, message });

export const unreachable = (to: { host: string; port: number }, why: string): NetworkRefusal =>
  new NetworkRefusal({
    status: 502,
    reason: 'unreachable',
    message: `${to.host} port ${to.port} is allowed, but could not be reached: ${why}.`,
    ...to,
  });

export const overLimit = (what: string): NetworkRefusal =>
  new NetworkRefusal({ status: 503, reason: 'limit', message: `This command's limit of ${what} is reached.` });
