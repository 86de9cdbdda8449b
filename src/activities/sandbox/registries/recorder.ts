/** A proxy on the host's loopback, for one command of our own: it connects to all, and notes what was asked for. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Account, NETWORK_LIMITS } from '../network/account.ts';
import { connectByTcp, createDialer, resolveBySystem } from '../network/dial.ts';
import { createProxy } from '../network/proxy.ts';
import type { Target } from '../network/target.ts';

export type Recorder = {
  /** With a login in it, so that no other program of the host adds to what is noted. */
  url: string;
  /** Each host and port once, in the order in which they were asked for; reached or not. */
  asked(): Target[];
  /** Ends all of its connections. */
  close(): Promise<void>;
};

const MAX_BYTES = 256 * 1024 ** 2;
const MAX_HOSTS = 50;

export async function openRecorder(): Promise<Recorder> {
  const login = `agentswarm:${randomBytes(16).toString('hex')}`;
  const asked = new Map<string, Target>();
  const account = new Account({ ...NETWORK_LIMITS, bytes: MAX_BYTES }, () => undefined);
  // The host's own client may reach the host's own network: what a sandbox may reach is decided where it connects.
  const connect = createDialer({
    addresses: { refusal: () => undefined },
    resolve: resolveBySystem,
    connect: connectByTcp,
  });
  const proxy = createProxy({
    reach: 'public',
    setting: 'setup.network',
    login,
    dial: (to) => {
      if (asked.size < MAX_HOSTS) asked.set(`${to.host}:${to.port}`, to);
      return connect(to);
    },
    account,
    onRefused: () => undefined,
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://${login}@127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked: () => [...asked.values()],
    async close() {
      account.close();
      proxy.closeAllConnections();
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
    },
  };
}
