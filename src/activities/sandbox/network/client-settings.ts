/** How programs inside learn of the proxy and of the registries: their usual variables and files. */
import { stringify, type TomlTable } from 'smol-toml';
import { kindOf, type Registry } from '../../../shared/contracts/network.ts';
import type { RegistrySettings } from './host-registries.ts';
import { NETWORK_INSIDE, PROXY_PORT } from './forwarder.ts';

export type ClientSettings = {
  env: Record<string, string>;
  /** Variables with names that shells drop, which `env` sets at last. */
  oddEnv: Record<string, string>;
  /** By their name below NETWORK_INSIDE. */
  files: Record<string, string>;
};

/** A registry as the sandbox sees it: plain HTTP on its own loopback, with the same path. */
export type LocalRegistry = Registry & { port: number; localUrl: string };

export const localRegistries = (registries: readonly Registry[]): LocalRegistry[] =>
  registries.map((registry, i) => {
    const port = PROXY_PORT + 1 + i;
    return { ...registry, port, localUrl: `http://127.0.0.1:${port}${new URL(registry.url).pathname}` };
  });

/** HTTP's, for all that reads them; Node's own fetch does so only when told. @param url the proxy's. */
export function proxySettings(url = `http://127.0.0.1:${PROXY_PORT}`): Record<string, string> {
  const local = 'localhost,127.0.0.1,::1';
  const inside: Record<string, string> = {
    NODE_USE_ENV_PROXY: '1',
    npm_config_proxy: url,
    npm_config_https_proxy: url,
    npm_config_noproxy: local,
    YARN_HTTP_PROXY: url,
    YARN_HTTPS_PROXY: url,
  };
  for (const name of ['http_proxy', 'https_proxy', 'all_proxy']) inside[name] = inside[name.toUpperCase()] = url;
  inside.no_proxy = inside.NO_PROXY = local;
  return inside;
}

const PROXY_VARIABLE = /^(?:https?|all|no)_proxy$/i;
const PROXY_LINE = /^\s*(?:https?-proxy|proxy|noproxy)\s*=/;

/** Whether the worker itself is told to go through a proxy. */
export const hasProxy = (env: Readonly<Record<string, string | undefined>>): boolean =>
  Object.entries(env).some(([name, value]) => /^(?:https?|all)_proxy$/i.test(name) && (value ?? '') !== '');

/** The host's settings without its proxies, which a sandbox with a network of its own cannot reach. */
export const withoutProxies = (settings: RegistrySettings): RegistrySettings => ({
  ...settings,
  env: Object.fromEntries(Object.entries(settings.env).filter(([name]) => !PROXY_VARIABLE.test(name))),
  npmrc: settings.npmrc.filter((line) => !PROXY_LINE.test(line)),
  pipConf: settings.pipConf.filter((line) => !PROXY_LINE.test(line)),
});

/** What may be asked beside private registries, where those would stand in for all. */
export type BesidePrivate = {
  /** Of the worker's GOPROXY. */
  goProxies: readonly string[];
  /** Whether the index may be reached that cargo has as crates-io. */
  cratesIo: boolean;
};

export const ONLY_PRIVATE: BesidePrivate = { goProxies: [], cratesIo: false };

/** The host's registries (without secrets), and over them those of the run. */
export function clientSettings(
  host: RegistrySettings,
  registries: readonly LocalRegistry[],
  beside: BesidePrivate,
): ClientSettings {
  const settings: ClientSettings = { env: { ...host.env }, oddEnv: {}, files: {} };
  const { env: inside, files } = settings;
  const npmrc = [...host.npmrc, 'fund=false', 'audit=false', 'update-notifier=false'];
  inside.npm_config_globalconfig = `${NETWORK_INSIDE}/npmrc`;
  inside.PIP_CONFIG_FILE = `${NETWORK_INSIDE}/pip.conf`;
  const of = (kind: ReturnType<typeof kindOf>) => registries.filter((registry) => kindOf(registry) === kind);
  npm(of('npm'), settings, npmrc);
  pip(of('pip'), inside);
  const cargo = cargoConfig(host.cargo, of('cargo'), beside);
  if (cargo !== undefined) files['cargo.toml'] = cargo;
  if (host.uv !== undefined) {
    files['xdg/uv/uv.toml'] = host.uv;
    inside.XDG_CONFIG_DIRS = `${NETWORK_INSIDE}/xdg:/etc/xdg`;
  }
  const go = of('go').map(({ localUrl }) => localUrl.replace(/\/$/, ''));
  if (go.length > 0) inside.GOPROXY = [...go, ...beside.goProxies].join(',');
  files.npmrc = joined(npmrc);
  files['pip.conf'] = joined(['[global]', ...host.pipConf]);
  return settings;
}

/** A project's own .npmrc goes before npmrc's lines, but not before variables. */
function npm(registries: readonly LocalRegistry[], { env: inside, oddEnv }: ClientSettings, npmrc: string[]): void {
  const [first, ...others] = registries;
  if (first === undefined) return;
  for (const { scope, localUrl } of registries) {
    npmrc.push(`${scope === undefined ? '' : `${scope}:`}registry=${localUrl}`);
    if (scope === undefined) inside.npm_config_registry = localUrl;
    else oddEnv[`npm_config_${scope}:registry`] = localUrl;
  }
  // Lockfiles have the registry's own URL: npm puts the local one in its place.
  const host = new URL(first.url).hostname;
  inside.npm_config_replace_registry_host = others.every(({ url }) => new URL(url).hostname === host) ? host : 'always';
}

function pip(registries: readonly LocalRegistry[], inside: Record<string, string>): void {
  const [first, ...others] = registries.map(({ localUrl }) => localUrl);
  if (first === undefined) return;
  inside.PIP_INDEX_URL = inside.UV_DEFAULT_INDEX = first;
  delete inside.PIP_EXTRA_INDEX_URL;
  delete inside.UV_INDEX_URL;
  delete inside.UV_EXTRA_INDEX_URL;
  if (others.length > 0) inside.PIP_EXTRA_INDEX_URL = inside.UV_INDEX = others.join(' ');
}

/** Cargo keeps names of registries by URL: what a lockfile names is replaced by the local one. */
function cargoConfig(
  host: RegistrySettings['cargo'],
  registries: readonly LocalRegistry[],
  { cratesIo }: BesidePrivate,
): string | undefined {
  if (registries.length === 0 && host === undefined) return undefined;
  const source: Record<string, TomlTable> = { ...host?.source };
  registries.forEach(({ url, localUrl }, i) => {
    source[`agentswarm-${i}`] = { registry: `sparse+${localUrl}` };
    source[`agentswarm-${i}-origin`] = { registry: `sparse+${url}`, 'replace-with': `agentswarm-${i}` };
  });
  if (registries.length > 0 && !cratesIo) source['crates-io'] = { 'replace-with': 'agentswarm-0' };
  return stringify({ source, ...(host === undefined ? {} : { registries: host.registries }) });
}

const joined = (all: readonly string[]): string => [...all, ''].join('\n');
