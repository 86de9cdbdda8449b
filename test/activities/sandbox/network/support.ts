/** The proxy of one command without a sandbox around it, and a server that plays all of the outside. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect as connectTo, type Socket } from 'node:net';
import { join } from 'node:path';
import { Account, NETWORK_LIMITS, type NetworkLimits } from '../../../../src/activities/sandbox/network/account.ts';
import { createAddressRules } from '../../../../src/activities/sandbox/network/addresses.ts';
import { type Connect, createDialer, type Resolve } from '../../../../src/activities/sandbox/network/dial.ts';
import { createProxy } from '../../../../src/activities/sandbox/network/proxy.ts';
import { reachOf } from '../../../../src/activities/sandbox/network/reach.ts';
import type { NetworkRefusal } from '../../../../src/activities/sandbox/network/refusal.ts';
import { temporaryFolder } from '../../../support/repos.ts';

export const PUBLIC = { address: '93.184.215.14', family: 4 };

/** Answers every request, and remembers what arrived. */
export async function outside(
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    void response.end('outside'),
) {
  const requests: { method: string; url: string; headers: string[]; body: string }[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
    request.on('end', () => {
      requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.rawHeaders, body });
      answer(request, response);
    });
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    connections: () => connections,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
type Outside = Awaited<ReturnType<typeof outside>>;

export type TestProxyOptions = {
  allow: readonly string[];
  limits?: Partial<NetworkLimits>;
  /** Default: every name is at one public address. */
  resolve?: Resolve;
  privateAddresses?: readonly string[];
  /** Default: whatever is connected to, the outside answers. */
  connect?: Connect;
};

export async function testProxy(to: Outside, options: TestProxyOptions) {
  const folder = temporaryFolder('agentswarm-proxy-');
  const path = join(folder.dir, 'proxy.sock');
  const dialled: string[] = [];
  const resolved: string[] = [];
  const refusals: NetworkRefusal[] = [];
  const open = new Set<Socket>();
  const { resolve = () => Promise.resolve([PUBLIC]), connect = () => connectTo(to.port, '127.0.0.1') } = options;
  const account = new Account({ ...NETWORK_LIMITS, ...options.limits }, () => dialled.push('over bytes'));
  const server = createProxy({
    reach: reachOf({ allow: [...options.allow] }),
    setting: 'sandbox.network',
    account,
    dial: createDialer({
      addresses: createAddressRules(options.privateAddresses ?? []),
      resolve: (host) => {
        resolved.push(host);
        return resolve(host);
      },
      connect: (target) => {
        dialled.push(`${target.host}:${target.port} at ${target.addresses.map(({ address }) => address).join()}`);
        return connect(target);
      },
    }),
    onRefused: (refusal) => refusals.push(refusal),
  });
  server.listen(path);
  await once(server, 'listening');
  const client = (): Socket => {
    const socket = connectTo(path);
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    return socket;
  };
  return {
    dialled,
    resolved,
    refusals,
    account,
    client,
    /** Sends these bytes; what came back until the other side closed, or until `enough` is in it. */
    async send(bytes: string | Buffer, enough?: string): Promise<string> {
      const socket = client();
      let said = '';
      const done = new Promise<void>((resolve) => {
        socket.on('data', (chunk: Buffer) => {
          said += chunk.toString('latin1');
          if (enough !== undefined && said.includes(enough)) resolve();
        });
        socket.on('error', () => resolve());
        socket.on('close', () => resolve());
      });
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
      await done;
      socket.destroy();
      return said;
    },
    close() {
      for (const socket of open) socket.destroy();
      account.close();
      server.close();
      server.closeAllConnections();
      folder.remove();
    },
  };
}
export type TestProxy = Awaited<ReturnType<typeof testProxy>>;
