import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where go.mod, go.sum and these files are: infra/temporal in a checkout, dist/infra/temporal in the package. */
export const HERE = import.meta.dirname;

/** The module whose version go.mod pins, and the command in it that is the server. */
const CLI_MODULE = 'github.com/temporalio/cli';
export const CLI_COMMAND = `${CLI_MODULE}/cmd/temporal`;
export const CLI_VERSION_VARIABLE = `${CLI_MODULE}/internal/temporalcli.Version`;

/** Fair task queues came with this server; older ones start, but ignore what the queues are built on. */
export const OLDEST_SERVER = [1, 29];

/**
 * The version of the `temporal` command that go.mod pins, without its `v`: "1.8.2".
 *
 * @returns {string}
 */
export function pinnedVersion() {
  const found = /github\.com\/temporalio\/cli v(\S+)/.exec(readFileSync(join(HERE, 'go.mod'), 'utf8'));
  if (found?.[1] === undefined) throw new Error(`${join(HERE, 'go.mod')} requires no version of ${CLI_MODULE}`);
  return found[1];
}

/**
 * The user's cache folder for one version of the server; outside any checkout, so that clones share it.
 *
 * @param {NodeJS.ProcessEnv} [env]
 */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME !== undefined && env.XDG_CACHE_HOME !== '' ? env.XDG_CACHE_HOME : undefined;
  return join(base ?? join(homedir(), '.cache'), 'agentswarm', 'temporal', pinnedVersion());
}
