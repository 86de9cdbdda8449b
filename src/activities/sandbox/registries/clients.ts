/**
 * How each package client is asked where its registry is: by its own command where it has one, and by installing one
 * small package, for which the hosts are seen that it connects to. No package's code runs at that.
 */
import type { RegistryClient } from '../../../shared/sandbox/registries.ts';

type Env = Readonly<Record<string, string>>;

/** What a client's own command says. */
export type ClientAnswer = {
  /** Of registries, in the client's order. */
  urls: string[];
  /** Of hosts that are asked besides, such as one of checksums. */
  besides: string[];
};

export type PackageClient = {
  /** Our own project, which depends on one package. */
  files: Readonly<Record<string, string>>;
  /** @param dir folder of the project, where the client is to keep all that it writes. */
  env(dir: string): Env;
  /** Commands that say where the registry is; each may fail, as versions differ. Empty: the client has none. */
  ask: readonly (readonly string[])[];
  /** @param outputs of the commands of `ask` that succeeded. */
  read(outputs: readonly string[]): ClientAnswer;
  /** @returns what installs the package; undefined when there is nowhere to ask. */
  install(answer: ClientAnswer): { argv: readonly string[]; env?: Env } | undefined;
  /** Files of the host's client, below `from`, that say where its registry is and would be looked for in `env`'s folder. */
  settings?(host: { env: Readonly<Record<string, string | undefined>>; home: string }): {
    from: string;
    names: string[];
    to: string;
  };
};

const URL_LINE = /^https?:\/\/\S+$/;
const urlLines = (outputs: readonly string[]): ClientAnswer => ({
  urls: outputs.flatMap((text) => text.split(/\r?\n/)).filter((line) => URL_LINE.test(line)),
  besides: [],
});
const NOTHING_SAID = (): ClientAnswer => ({ urls: [], besides: [] });

const NODE_PROJECT = {
  'package.json': JSON.stringify({
    name: 'where',
    version: '0.0.0',
    private: true,
    dependencies: { isarray: '2.0.5' },
  }),
};
const NPM_ENV: Env = {
  npm_config_fetch_retries: '0',
  npm_config_update_notifier: 'false',
  npm_config_ignore_scripts: 'true',
  COREPACK_ENABLE_DOWNLOAD_PROMPT: '0',
};

/** A system's Python may come without pip; a virtual environment, as `setup` makes it, has its own. */
const PIP = [
  '/bin/sh',
  '-c',
  'python3 -m pip --version >/dev/null 2>&1 && exec python3 -m pip "$@"\n[ -x .venv/bin/pip ] || python3 -m venv .venv && exec .venv/bin/pip "$@"',
  'pip',
];
const PYTHON_PACKAGE = 'six==1.16.0';

const GO_ASK = ['go', 'env', '-json', 'GOPROXY', 'GOSUMDB'];

export const CLIENTS: Readonly<Record<RegistryClient, PackageClient>> = {
  npm: {
    files: NODE_PROJECT,
    env: (dir) => ({ ...NPM_ENV, npm_config_cache: `${dir}/cache` }),
    ask: [['npm', 'config', 'get', 'registry']],
    read: urlLines,
    install: () => ({ argv: ['npm', 'install', '--no-package-lock', '--no-audit', '--no-fund'] }),
  },
  pnpm: {
    files: NODE_PROJECT,
    env: (dir) => ({ ...NPM_ENV, npm_config_store_dir: `${dir}/store`, npm_config_cache_dir: `${dir}/cache` }),
    ask: [['pnpm', 'config', 'get', 'registry']],
    read: urlLines,
    install: () => ({ argv: ['pnpm', 'install', '--no-lockfile'] }),
  },
  yarn: {
    files: NODE_PROJECT,
    env: (dir) => ({
      ...NPM_ENV,
      npm_config_cache: `${dir}/npm-cache`,
      YARN_CACHE_FOLDER: `${dir}/cache`,
      YARN_GLOBAL_FOLDER: `${dir}/global`,
      YARN_ENABLE_GLOBAL_CACHE: 'false',
      YARN_ENABLE_SCRIPTS: 'false',
      YARN_ENABLE_TELEMETRY: 'false',
      YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
    }),
    // Of yarn 1, of later ones, and npm's: lockfiles that began with npm name its registry.
    ask: [
      ['yarn', 'config', 'get', 'registry'],
      ['yarn', 'config', 'get', 'npmRegistryServer'],
      ['npm', 'config', 'get', 'registry'],
    ],
    read: urlLines,
    install: () => ({ argv: ['yarn', 'install'] }),
  },
  pip: {
    files: {},
    env: () => ({
      PIP_NO_CACHE_DIR: '1',
      PIP_RETRIES: '0',
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      PIP_REQUIRE_VIRTUALENV: '0',
      // Packages in a folder of the host would not be asked for.
      PIP_FIND_LINKS: '',
    }),
    ask: [[...PIP, 'config', 'list']],
    read: (outputs) => ({
      urls: outputs.flatMap((text) =>
        [...text.matchAll(/^\S*\.(?:extra-)?index-url='(.*)'$/gm)].flatMap(([, value = '']) =>
          value.split(/\\n|\s+/).filter((part) => URL_LINE.test(part)),
        ),
      ),
      besides: [],
    }),
    install: () => ({
      argv: [...PIP, 'download', '--no-deps', '--only-binary', ':all:', '--dest', 'files', PYTHON_PACKAGE],
    }),
  },
  uv: {
    files: {
      'pyproject.toml': `[project]\nname = "where"\nversion = "0"\nrequires-python = ">=3"\ndependencies = ["${PYTHON_PACKAGE}"]\n`,
    },
    env: (dir) => ({ UV_CACHE_DIR: `${dir}/cache`, UV_PYTHON_DOWNLOADS: 'never', UV_HTTP_RETRIES: '0' }),
    ask: [],
    read: NOTHING_SAID,
    install: () => ({ argv: ['uv', 'sync', '--no-install-project', '--no-build'] }),
  },
  cargo: {
    files: {
      'Cargo.toml': '[package]\nname = "where"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nitoa = "1"\n',
      'src/lib.rs': '',
    },
    // What is in the cache of its home already would not be asked for.
    env: (dir) => ({ CARGO_HOME: `${dir}/home`, CARGO_NET_RETRY: '0' }),
    settings: ({ env, home }) => ({
      from: env.CARGO_HOME ?? `${home}/.cargo`,
      names: ['config.toml', 'config', 'credentials.toml', 'credentials'],
      to: 'home',
    }),
    ask: [],
    read: NOTHING_SAID,
    install: () => ({ argv: ['cargo', 'fetch'] }),
  },
  go: {
    files: { 'go.mod': 'module where.invalid\n\ngo 1.21\n\nrequire github.com/google/uuid v1.6.0\n' },
    env: (dir) => ({
      GOPATH: `${dir}/path`,
      GOMODCACHE: `${dir}/modules`,
      GOFLAGS: '-modcacherw',
      GOTOOLCHAIN: 'local',
    }),
    ask: [GO_ASK],
    read: readGoEnv,
    // `direct` asks the module's own host, which is none of the registry.
    install: ({ urls }) =>
      urls.length === 0 ? undefined : { argv: ['go', 'mod', 'download'], env: { GOPROXY: urls.join(',') } },
  },
};

/** GOPROXY is a list of URLs, `direct` and `off`; GOSUMDB is `off`, or a name (with its key), or that and a URL. */
function readGoEnv(outputs: readonly string[]): ClientAnswer {
  const [text = '{}'] = outputs;
  const answer = JSON.parse(text) as Partial<Record<'GOPROXY' | 'GOSUMDB', string>>;
  const urls = (answer.GOPROXY ?? '').split(/[,|]/).filter((part) => URL_LINE.test(part.trim()));
  const [name = 'off', address] = (answer.GOSUMDB ?? '').split(/\s+/).filter(Boolean);
  const url = address ?? `https://${name.split('+')[0]}`;
  return { urls: urls.map((part) => part.trim()), besides: name === 'off' ? [] : [url] };
}
