/** The network of sandboxed commands: nothing, what may be reached through a proxy of ours, or the host's own. */
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { kindOf, type NetworkSetting, parseAllowEntry, type Registry } from '../../../shared/contracts/network.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Log } from '../../support/log.ts';
import type { RegistryFinder } from './registry-finder.ts';
import { registrySettings } from './host-registries.ts';
import { Account, NETWORK_LIMITS, type NetworkLimits } from './account.ts';
import { createAddressRules } from './addresses.ts';
import {
  type BesidePrivate,
  clientSettings,
  hasProxy,
  localRegistries,
  ONLY_PRIVATE,
  proxySettings,
  withoutProxies,
} from './client-settings.ts';
import { type Connect, connectByTcp, createDialer, type Resolve, resolveBySystem } from './dial.ts';
import { NETWORK_INSIDE, PROXY_PORT, startForwarder } from './forwarder.ts';
import { createProxy, type Gateway } from './proxy.ts';
import { type Reach, reaches, reachOf } from './reach.ts';
import { badRequest, overLimit, type NetworkRefusal } from './refusal.ts';
import { createGateway, type RegistryAccess } from './registry.ts';

/** The network of one command. */
export type NetworkSession = {
  /** true: the host's network namespace. */
  shared: boolean;
  /** Host paths bound read-only. */
  binds: readonly { from: string; to: string }[];
  env: Readonly<Record<string, string>>;
  /** argv to put before the command, inside. */
  start: readonly string[];
  /** What was refused so far, as sentences for the agent. */
  refused(): string[];
  /** Ends all of its connections. */
  close(): Promise<void>;
};

/** HTTP that this process answers on a port of one command's own loopback. */
export type LocalService = {
  port: number;
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
};

export type NetworkRequest = {
  sandbox: string;
  /** The sandbox's folder on the host. */
  folder: string;
  network: NetworkSetting;
  registries: readonly Registry[];
  service?: LocalService;
  /** Whose rules they are, for messages. */
  setting: 'sandbox.network' | 'setup.network';
};

export interface SandboxNetwork {
  /** @throws SetupFailed when a registry's token may not be used or is not there. */
  open(request: NetworkRequest): Promise<NetworkSession>;
}

export type SandboxNetworkDeps = {
  /** What agents may reach. */
  network: NetworkSetting;
  /** The worker's: tokens and the host's registry settings are read from it. */
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  /** Node as commands find it inside. */
  node: string;
  privateAddresses: readonly string[];
  /** URLs by the variable whose token they may be given. */
  registryTokens: Readonly<Record<string, readonly string[]>>;
  /** Where the registries are that private ones of cargo and go would stand in for. */
  finder: RegistryFinder;
  log: Log;
  limits?: NetworkLimits;
  resolve?: Resolve;
  connect?: Connect;
  /** Certificates that registries may have besides the system's. */
  ca?: string;
};

const MAX_TOLD = 10;
const MAX_LOGGED = 200;

export const createSandboxNetwork = (deps: SandboxNetworkDeps): SandboxNetwork => new HostNetwork(deps);

class HostNetwork implements SandboxNetwork {
  private readonly deps: SandboxNetworkDeps;
  private readonly dial: ReturnType<typeof createDialer>;

  constructor(deps: SandboxNetworkDeps) {
    const { privateAddresses, resolve = resolveBySystem, connect = connectByTcp } = deps;
    this.deps = deps;
    this.dial = createDialer({ addresses: createAddressRules(privateAddresses), resolve, connect });
  }

  async open(request: NetworkRequest): Promise<NetworkSession> {
    const { network, registries, service } = request;
    if (network === 'none' && registries.length === 0 && service === undefined) return NOTHING;
    if (network === 'full' && service !== undefined) {
      throw terminal(
        FailureType.SandboxUnavailable,
        'An external agent cannot be run with sandbox.network "full": its port would be open to the whole host.',
        'Name the hosts that it needs: sandbox.network: { allow: [...] }.',
      );
    }
    return this.sharesHost(request) ? await this.openShared(request) : await this.openProxy(request);
  }

  /**
   * `full` of a repository's `setup` is the public internet, not the worker's own network: unless its owner gives
   * agents that, or the worker itself gets out through a proxy only.
   */
  private sharesHost({ network, setting }: NetworkRequest): boolean {
    const { deps } = this;
    return network === 'full' && (setting === 'sandbox.network' || deps.network === 'full' || hasProxy(deps.env));
  }

  private async openShared(request: NetworkRequest): Promise<NetworkSession> {
    const host = registrySettings(this.deps.env, this.deps.home);
    const client = clientSettings(host, [], ONLY_PRIVATE);
    const dir = await makeFolder(request.folder, client.files);
    return {
      ...NOTHING,
      shared: true,
      binds: [...host.binds, ...bindsOf(dir, client.files)],
      env: client.env,
      close: () => rm(dir, { recursive: true, force: true }),
    };
  }

  private async openProxy(request: NetworkRequest): Promise<NetworkSession> {
    const { env, home, log, node, finder, ca, resolve = resolveBySystem, limits = NETWORK_LIMITS } = this.deps;
    const registries = this.access(request);
    const reach = reachOf(request.network);
    const host = withoutProxies(registrySettings(env, home));
    const client = clientSettings(host, registries, await besidePrivate(finder, registries, reach));
    const dir = await makeFolder(request.folder, client.files);
    const refusals = createRefusals(request.sandbox, log);
    const account = new Account(limits, () => refusals.add(overLimit(`${limits.bytes} bytes`)));
    const { service } = request;
    const toRegistries =
      registries.length === 0
        ? undefined
        : createGateway({ registries, account, resolve, ...(ca === undefined ? {} : { ca }) });
    const proxy = createProxy({
      reach,
      setting: request.setting,
      dial: this.dial,
      account,
      onRefused: refusals.add,
      ...(service === undefined ? optional(toRegistries) : { gateway: withService(service, toRegistries) }),
    });
    const stopListening = await listenIn(dir, proxy);
    return {
      shared: false,
      binds: [...host.binds, ...bindsOf(dir, client.files)],
      env: { ...client.env, ...proxySettings() },
      start: startForwarder({
        node,
        ports: [PROXY_PORT, ...registries.map(({ port }) => port), ...(service === undefined ? [] : [service.port])],
        variables: client.oddEnv,
      }),
      refused: refusals.descriptions,
      async close() {
        account.close();
        await stopListening();
        refusals.end();
        await rm(dir, { recursive: true, force: true });
      },
    };
  }

  /** @throws SetupFailed when a registry's token may not be used or is not there. */
  private access(request: NetworkRequest): RegistryAccess[] {
    const { registryTokens, env } = this.deps;
    return localRegistries(request.registries).map((registry, i) => {
      const { url, tokenEnv } = registry;
      const failed = (what: string, remedy: string) =>
        terminal(FailureType.SetupFailed, `setup.registries[${i}] (${url}): ${what}`, remedy);
      if (!(registryTokens[tokenEnv] ?? []).some((trusted) => url.startsWith(trusted))) {
        throw failed(
          `the worker's configuration does not trust this URL with the variable ${tokenEnv}.`,
          `Whoever owns the worker can allow it in temporal.config.ts: sandbox: { registryTokens: { ${tokenEnv}: ['${url}'] } }.`,
        );
      }
      const secret = env[tokenEnv]?.trim() ?? '';
      if (secret === '') {
        throw failed(
          `the worker has no variable ${tokenEnv}.`,
          'Set it where the worker is started, then start the run again.',
        );
      }
      if (/[^\x20-\x7e]/.test(secret))
        throw failed(`the value of ${tokenEnv} is no token.`, 'Correct it where the worker is started.');
      return { ...registry, secret };
    });
  }
}

const optional = (gateway: Gateway | undefined) => (gateway === undefined ? {} : { gateway });

/** By the port that the client believes to talk to. */
const withService =
  (service: LocalService, others: Gateway | undefined): Gateway =>
  async (request, response) => {
    const { host } = request.headers;
    if (host === `127.0.0.1:${service.port}` || host === `localhost:${service.port}`) {
      await service.handle(request, response);
      return;
    }
    if (others === undefined) throw badRequest('no proxy request', 'Nothing is served here.');
    await others(request, response);
  };

const NOTHING: NetworkSession = {
  shared: false,
  binds: [],
  env: {},
  start: [],
  refused: () => [],
  close: () => Promise.resolve(),
};

/** A client that is not there, or says nothing, has no registry that could be reached. */
async function besidePrivate(
  finder: RegistryFinder,
  registries: readonly Registry[],
  reach: Reach,
): Promise<BesidePrivate> {
  const found = async (kind: 'cargo' | 'go') =>
    (reach === 'public' || reach.length > 0) && registries.some((registry) => kindOf(registry) === kind)
      ? (await finder.find([{ registry: kind, client: kind }]).catch(() => []))[0]
      : undefined;
  const [cargo, go] = await Promise.all([found('cargo'), found('go')]);
  const index = parseAllowEntry(cargo?.hosts[0] ?? '');
  return {
    cratesIo: index.ok && index.rule.ports.some((port) => reaches(reach, index.rule.host, port)),
    goProxies: (go?.urls ?? []).filter((text) => {
      const { hostname, port, protocol } = new URL(text);
      return reaches(reach, hostname, Number(port || (protocol === 'https:' ? 443 : 80)));
    }),
  };
}

/** Fails with ENOENT when the sandbox is gone: it must not be made again by this. */
async function makeFolder(folder: string, files: Readonly<Record<string, string>>): Promise<string> {
  const parent = join(folder, 'network');
  await mkdir(parent, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const dir = join(parent, randomUUID());
  await mkdir(dir, { mode: 0o700 });
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

/** Cargo looks for its settings in every folder above the work tree: the root's cost the home nothing. */
const bindsOf = (dir: string, files: Readonly<Record<string, string>>) => [
  { from: dir, to: NETWORK_INSIDE },
  ...(files['cargo.toml'] === undefined ? [] : [{ from: join(dir, 'cargo.toml'), to: '/.cargo/config.toml' }]),
];

/** A socket's path has at most 107 bytes, which a state folder's may pass: it is named through the open folder. */
async function listenIn(dir: string, proxy: Server): Promise<() => Promise<void>> {
  const folder = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject);
    proxy.listen(`/proc/self/fd/${folder.fd}/proxy.sock`, () => {
      proxy.off('error', reject);
      resolve();
    });
  });
  return async () => {
    await new Promise<void>((resolve) => {
      proxy.close(() => resolve());
      proxy.closeAllConnections();
    });
    await folder.close();
  };
}

function createRefusals(sandbox: string, log: Log) {
  const sentences = new Map<string, number>();
  let count = 0;
  return {
    add(refusal: NetworkRefusal): void {
      count += 1;
      const { reason, host, port } = refusal;
      if (count <= MAX_LOGGED) log.warn({ sandbox, reason, host, port }, 'the network refused a request of a sandbox');
      if (sentences.size < MAX_TOLD || sentences.has(refusal.message)) {
        sentences.set(refusal.message, (sentences.get(refusal.message) ?? 0) + 1);
      }
    },
    descriptions: (): string[] =>
      [...sentences].map(([text, times]) => `Network: ${text}${times > 1 ? ` (${times} times)` : ''}`),
    end(): void {
      if (count > MAX_LOGGED) log.warn({ sandbox, count }, 'further requests of a sandbox were refused by the network');
    },
  };
}
