/** Connects to a host that is allowed: its name is resolved once, and the connection goes to what was checked. */
import { lookup } from 'node:dns/promises';
import { connect as connectTo, type LookupFunction, type Socket } from 'node:net';
import type { AddressRules } from './addresses.ts';
import { NetworkRefusal, unreachable } from './refusal.ts';
import type { Target } from './target.ts';

export type Address = { address: string; family: number };
/** All addresses of a name. */
export type Resolve = (host: string) => Promise<readonly Address[]>;
/** Starts a connection to one of these addresses, and to nothing else. */
export type Connect = (to: Target & { addresses: readonly Address[] }) => Socket;

export type Dialer = (to: Target) => Promise<Socket>;

const RESOLVE_MS = 15_000;
const CONNECT_MS = 15_000;

/** By the host's own rules: DNS, /etc/hosts. */
export const resolveBySystem: Resolve = (host) => lookup(host, { all: true });

export const connectByTcp: Connect = ({ host, port, addresses }) =>
  connectTo({ host, port, lookup: fixedLookup(addresses), autoSelectFamily: true });

/** Gives node what was resolved before: it must not ask again. */
export const fixedLookup =
  (addresses: readonly Address[]): LookupFunction =>
  (_host, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? '', first?.family);
  };

/** The dialer's calls reject with a Refusal: not resolved, resolved to what is not public, or not connected. */
export function createDialer(deps: { addresses: AddressRules; resolve: Resolve; connect: Connect }): Dialer {
  return async (to) => {
    const all = await resolveInTime(deps.resolve, to);
    const allowed = all.filter(({ address }) => deps.addresses.refusal(address) === undefined);
    const [first] = all;
    if (first === undefined) throw unreachable(to, 'its name has no address');
    if (allowed.length === 0) {
      throw new NetworkRefusal({
        reason: 'private address',
        message: `${to.host} is allowed, but its address ${first.address} ${deps.addresses.refusal(first.address)}: connections there are refused (sandbox.privateAddresses in the worker's configuration).`,
        ...to,
      });
    }
    const socket = deps.connect({ ...to, addresses: allowed });
    await connected(socket, to);
    return socket;
  };
}

async function resolveInTime(resolve: Resolve, to: Target): Promise<readonly Address[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(to, 'resolving its name took too long')), RESOLVE_MS);
  });
  try {
    return await Promise.race([resolve(to.host), late]);
  } catch (error) {
    if (error instanceof NetworkRefusal) throw error;
    throw unreachable(to, `its name could not be resolved (${codeOf(error)})`);
  } finally {
    clearTimeout(timer);
  }
}

function connected(socket: Socket, to: Target): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(unreachable(to, 'it did not answer in time')), CONNECT_MS);
    const end = (problem?: NetworkRefusal): void => {
      clearTimeout(timer);
      socket.off('connect', onConnect).off('error', onError).off('close', onClose);
      // Whoever takes the socket over listens to it; one that is given up may still fail.
      socket.on('error', () => undefined);
      if (problem === undefined) resolve();
      else {
        socket.destroy();
        reject(problem);
      }
    };
    const onConnect = (): void => end();
    const onError = (error: Error): void => end(unreachable(to, codeOf(error)));
    const onClose = (): void => end(unreachable(to, 'the connection was closed'));
    socket.once('connect', onConnect).once('error', onError).once('close', onClose);
  });
}

/** `ENOTFOUND`, `ECONNREFUSED` and the like; never a text with addresses in it. */
export const codeOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException | undefined)?.code ?? (error instanceof Error ? error.name : 'unknown error');
