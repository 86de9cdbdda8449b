/**
 * The environment of every git process: nothing of the worker's own but what is named here. Local plumbing
 * reads no configuration of user or system; commands that talk to a remote do, because the credentials are
 * the worker user's own. All settings go through GIT_CONFIG_COUNT, so that no secret is on a command line.
 */
import { PROTOCOLS } from '../../host/repository.ts';

/** What may be used to log in. `helper` covers the user's git configuration and askpass-free helpers. */
export type GitCredentials = { helper: boolean; sshAgent: boolean; token: boolean };

export type Environment = Readonly<Record<string, string | undefined>>;

const ALWAYS = ['PATH', 'HOME', 'TMPDIR'];
const FOR_REMOTES = [
  ...['USER', 'LOGNAME', 'XDG_CONFIG_HOME', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_CONFIG_GLOBAL'],
  ...['http_proxy', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'no_proxy', 'NO_PROXY'],
];
const FOR_HELPERS = ['XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'];
const FOR_SSH = ['SSH_AUTH_SOCK', 'GIT_SSH_COMMAND', 'GIT_SSH'];

const HARDENED: readonly [string, string][] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['transfer.fsckObjects', 'true'],
  // Flaws of old but honest histories; what fsck guards against (bad paths, .gitmodules) stays an error.
  ['fetch.fsck.missingSpaceBeforeDate', 'ignore'],
  ['fetch.fsck.badTimezone', 'ignore'],
  ['fetch.fsck.zeroPaddedFilemode', 'ignore'],
  // A fetch that is killed leaves a whole pack or nothing, never a commit without its tree.
  ['fetch.unpackLimit', '1'],
  ['fetch.writeCommitGraph', 'false'],
  ['fetch.prune', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['push.recurseSubmodules', 'no'],
  ['push.followTags', 'false'],
  ['push.gpgSign', 'false'],
  ['submodule.recurse', 'false'],
  ['log.showSignature', 'false'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.ext.allow', 'never'],
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '120'],
];

/** Configuration as git takes it from the environment. */
function configVariables(entries: readonly (readonly [string, string])[]): Record<string, string> {
  const variables: Record<string, string> = { GIT_CONFIG_COUNT: String(entries.length) };
  for (const [i, [key, value]] of entries.entries()) {
    variables[`GIT_CONFIG_KEY_${i}`] = key;
    variables[`GIT_CONFIG_VALUE_${i}`] = value;
  }
  return variables;
}

/**
 * The origin that the token may be sent to for this location, or null: https (or http to this very machine),
 * and one of AGENTSWARM_GIT_TOKEN_HOSTS (comma-separated host[:port]) where that is set.
 */
export function tokenOrigin(location: string, env: Environment): string | null {
  if (!/^https?:\/\//i.test(location) || !URL.canParse(location)) return null;
  const url = new URL(location);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !loopback) return null;
  const hosts = env.AGENTSWARM_GIT_TOKEN_HOSTS?.split(',').map((host) => host.trim().toLowerCase());
  return hosts === undefined || hosts.includes(url.host) ? url.origin : null;
}

/** `AGENTSWARM_GIT_TOKEN` is a token, or `user:token` for hosts that want a certain user name. */
function authorization(token: string): string {
  return Buffer.from(token.includes(':') ? token : `x-access-token:${token}`).toString('base64');
}

/** Strings that must appear in no message: the token in its forms. */
export function secretsOf(env: Environment): string[] {
  const token = env.AGENTSWARM_GIT_TOKEN;
  if (token === undefined || token === '') return [];
  const password = token.slice(token.indexOf(':') + 1);
  return [authorization(token), token, password, encodeURIComponent(password)];
}

/**
 * @param remote the remote that the command talks to, or null for local plumbing.
 * @param userConfig whether user and system configuration is read; always so for remotes.
 */
export function gitEnvironment(
  env: Environment,
  options: { remote: string | null; userConfig?: boolean; credentials: GitCredentials },
): Record<string, string> {
  const { remote, credentials } = options;
  const userConfig = remote !== null || options.userConfig === true;
  const passed = [
    ...ALWAYS,
    ...(userConfig ? FOR_REMOTES : []),
    ...(remote !== null && credentials.helper ? FOR_HELPERS : []),
    ...(remote !== null && credentials.sshAgent ? FOR_SSH : []),
  ];
  const config: [string, string][] = HARDENED.map(([key, value]) => [key, value]);
  const token = env.AGENTSWARM_GIT_TOKEN;
  const origin = remote === null ? null : tokenOrigin(remote, env);
  if (credentials.token && token !== undefined && token !== '' && origin !== null) {
    config.push([`http.${origin}/.extraHeader`, `Authorization: Basic ${authorization(token)}`]);
    // A header set by hand would follow a redirect to another host.
    config.push(['http.followRedirects', 'false']);
  } else {
    config.push(['http.followRedirects', 'initial']);
  }
  if (!credentials.helper) config.push(['credential.helper', '']);
  return {
    ...Object.fromEntries(passed.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))),
    LANG: 'C.UTF-8',
    // Messages are classified by their words.
    LC_ALL: 'C.UTF-8',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    GIT_ALLOW_PROTOCOL: PROTOCOLS.join(':'),
    GIT_OPTIONAL_LOCKS: '0',
    GIT_PAGER: 'cat',
    ...(userConfig ? {} : { GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' }),
    ...configVariables(config),
  };
}
