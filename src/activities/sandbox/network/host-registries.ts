/**
 * What `setup` with network needs of the host's package settings: registries, proxies, certificates. Never a
 * token, password or user name: a setting is taken only if its name is on the list and its value names no one.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify, type TomlTable } from 'smol-toml';
import { ifReadable, isReadableFolder } from '../../support/readable.ts';

export type RegistrySettings = {
  env: Record<string, string>;
  /** Host files bound read-only at a path inside. */
  binds: { from: string; to: string }[];
  /** Lines of ~/.npmrc and of pip.conf's [global]. */
  npmrc: string[];
  pipConf: string[];
  /** Tables of cargo's configuration that say where registries are; undefined where it has none. */
  cargo?: { source: Record<string, TomlTable>; registries: Record<string, TomlTable> };
  /** uv.toml with the host's indexes; undefined where it has none. */
  uv?: string;
};

const URL_VARIABLES =
  /^(?:npm_config_registry|PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|UV_INDEX_URL|UV_DEFAULT_INDEX|UV_EXTRA_INDEX_URL|YARN_NPM_REGISTRY_SERVER|GOPROXY|https?_proxy|all_proxy)$/i;
const PLAIN_VARIABLES =
  /^(?:no_proxy|GOSUMDB|GONOSUMDB|GOFLAGS|PIP_DEFAULT_TIMEOUT|PIP_RETRIES|npm_config_fetch_\w+)$/i;
const CERTIFICATE_VARIABLES =
  /^(?:NODE_EXTRA_CA_CERTS|PIP_CERT|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO|CARGO_HTTP_CAINFO|npm_config_cafile)$/i;
const NPM_KEYS = /^(?:registry|@[\w.-]+:registry|strict-ssl|cafile|proxy|https-proxy|noproxy)$/;
const PIP_KEYS = /^(?:index-url|extra-index-url|find-links|cert|timeout|proxy)$/;
const CERTIFICATES = '/run/certificates';

type Env = Readonly<Record<string, string | undefined>>;

export function registrySettings(env: Env, home: string): RegistrySettings {
  const settings: RegistrySettings = { env: {}, binds: [], npmrc: [], pipConf: [] };
  const bindFile = (from: string): string | undefined => {
    const text = from.startsWith('/') ? readText(from) : '';
    if (!/-----BEGIN (?:TRUSTED )?CERTIFICATE-----/.test(text) || text.includes('PRIVATE KEY')) return undefined;
    const known = settings.binds.find((bind) => bind.from === from);
    if (known !== undefined) return known.to;
    const to = `${CERTIFICATES}/${settings.binds.length}.pem`;
    settings.binds.push({ from, to });
    return to;
  };
  /** A folder of packages (wheels): bound at its own path unless it holds the home. */
  const bindFolder = (path: string): string | undefined => {
    const isFolder = path.startsWith('/') && isReadableFolder(path);
    if (
      !isFolder ||
      `${home}/`.startsWith(`${path}/`) ||
      path === '/' ||
      /^\/(?:etc|root|home|proc|sys|dev|run|var)(?:\/|$)/.test(path)
    ) {
      return undefined;
    }
    if (!settings.binds.some((bind) => bind.to === path)) settings.binds.push({ from: path, to: path });
    return path;
  };

  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === '') continue;
    let taken: string | undefined;
    if (URL_VARIABLES.test(name)) taken = withoutUser(value);
    else if (PLAIN_VARIABLES.test(name)) taken = /:\/\//.test(value) ? undefined : value;
    else if (CERTIFICATE_VARIABLES.test(name)) taken = bindFile(value);
    else if (name === 'PIP_FIND_LINKS')
      taken = bindFolder(value) ?? (/^https?:/.test(value) ? withoutUser(value) : undefined);
    if (taken !== undefined) settings.env[name] = taken;
  }
  const npmFiles = [
    '/etc/npmrc',
    '/usr/etc/npmrc',
    '/usr/local/etc/npmrc',
    env.NPM_CONFIG_USERCONFIG ?? join(home, '.npmrc'),
  ];
  for (const [key, value] of npmFiles.flatMap(readSettings)) {
    if (!NPM_KEYS.test(key)) continue;
    const taken = key === 'cafile' ? bindFile(value) : cleanValue(value);
    if (taken !== undefined) settings.npmrc.push(`${key}=${taken}`);
  }
  const pipFiles = [
    '/etc/pip.conf',
    join(home, '.pip/pip.conf'),
    join(home, '.config/pip/pip.conf'),
    env.PIP_CONFIG_FILE ?? '',
  ];
  for (const [key, value] of pipFiles.flatMap(readSettings)) {
    if (!PIP_KEYS.test(key)) continue;
    let taken = key === 'cert' ? bindFile(value) : cleanValue(value);
    if (key === 'find-links' && value.startsWith('/')) taken = bindFolder(value);
    if (taken !== undefined) settings.pipConf.push(`${key} = ${taken}`);
  }
  goSettings(env, home, settings);
  const cargo = cargoSettings(env, home);
  if (cargo !== undefined) settings.cargo = cargo;
  const uv = uvSettings(env, home);
  if (uv !== undefined) settings.uv = uv;
  return settings;
}

/** What `go env -w` has written; the environment goes before it. */
function goSettings(env: Env, home: string, { env: taken }: RegistrySettings): void {
  const file = env.GOENV ?? join(env.XDG_CONFIG_HOME ?? join(home, '.config'), 'go', 'env');
  for (const [name, value] of readSettings(file)) {
    if (!/^(?:GOPROXY|GOSUMDB|GONOSUMDB)$/.test(name) || (env[name] ?? '') !== '') continue;
    const clean = name === 'GOPROXY' || !value.includes('://') ? withoutUser(value) : undefined;
    if (clean !== undefined) taken[name] = clean;
  }
}

/** Of `source` what is a registry or replaced by one, and the indexes of `registries`; never a token of theirs. */
function cargoSettings(env: Env, home: string): RegistrySettings['cargo'] {
  const dir = env.CARGO_HOME ?? join(home, '.cargo');
  const read = readToml(join(dir, 'config.toml')) ?? readToml(join(dir, 'config'));
  const source = pick(read?.source, ['registry', 'replace-with']);
  const registries = pick(read?.registries, ['index']);
  return Object.keys(source).length + Object.keys(registries).length === 0 ? undefined : { source, registries };
}

/** The indexes of the user's or the system's uv.toml: the user's goes before. */
function uvSettings(env: Env, home: string): string | undefined {
  const file = join(env.XDG_CONFIG_HOME ?? join(home, '.config'), 'uv', 'uv.toml');
  const read = readToml(env.UV_CONFIG_FILE ?? file) ?? readToml('/etc/uv/uv.toml');
  const taken: TomlTable = {};
  for (const key of ['index-url', 'extra-index-url', 'index']) {
    const value = read?.[key];
    if (value !== undefined && !hasUserInfo(value)) taken[key] = value;
  }
  return Object.keys(taken).length === 0 ? undefined : stringify(taken);
}

/** Whether there is a user or password in any URL of it. */
const hasUserInfo = (value: unknown): boolean => /:\/\/[^/?#"]*@/.test(JSON.stringify(value));

/** Of each table these keys, where they are texts without user info. */
function pick(tables: unknown, keys: readonly string[]): Record<string, TomlTable> {
  const picked: Record<string, TomlTable> = {};
  if (typeof tables !== 'object' || tables === null) return picked;
  for (const [name, table] of Object.entries(tables as Record<string, unknown>)) {
    if (typeof table !== 'object' || table === null) continue;
    const passed = Object.entries(table as Record<string, unknown>).flatMap(([key, value]) => {
      const clean = typeof value === 'string' && keys.includes(key) ? cleanValue(value) : undefined;
      return clean === undefined ? [] : [[key, clean] as const];
    });
    if (passed.length > 0) picked[name] = Object.fromEntries(passed);
  }
  return picked;
}

/** Undefined for what is not there, and for what its own client cannot read either. */
function readToml(file: string): TomlTable | undefined {
  const text = readText(file);
  if (text.trim() === '') return undefined;
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** Each URL of a list without user info; a value with anything else that looks like one is not taken. */
function withoutUser(value: string): string | undefined {
  const parts = value
    .split(/([\s,|]+)/)
    .map((part) => part.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1').replace(/[?#].*$/, ''));
  const clean = parts.join('');
  return /@/.test(clean.replace(/\/@/g, '/')) ? undefined : clean;
}

const cleanValue = (value: string): string | undefined =>
  value.includes('${') || value.includes('\n') ? undefined : withoutUser(value);

/** Empty for what is not there, is no file, or may not be read by this user. */
const readText = (file: string): string => (file === '' ? '' : (ifReadable(() => readFileSync(file, 'utf8')) ?? ''));

function readSettings(file: string): [string, string][] {
  return readText(file)
    .split(/\r?\n/)
    .map((line) => /^\s*([^#;=[\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line))
    .flatMap((match) => (match?.[1] === undefined ? [] : [[match[1], match[2] ?? ''] as [string, string]]));
}
