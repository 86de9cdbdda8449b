/** Loads `temporal.config.ts` and says where state is kept. For the command and the worker alike. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Config } from '../shared/config/worker-config.ts';
import { describeIssues } from '../shared/contracts/run-settings.ts';

/** Names that are looked for in the current folder, in this order. */
const CONFIG_NAMES = ['temporal.config.ts', 'temporal.config.mts', 'temporal.config.js', 'temporal.config.mjs'];

/** The configuration cannot be used; the message names the file, the key and the remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export type LoadedConfig = {
  config: Config;
  /** The file that was read, absolute; absent when the defaults are used. */
  path?: string;
  /** Absolute. It need not exist yet. */
  stateDir: string;
};

export type ConfigRequest = {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** `--config`: read this file and no other. */
  configPath?: string;
  /** `--state-dir`: over the environment and the file. */
  stateDir?: string;
};

/**
 * Reads and parses the configuration: `configPath`, else the first of temporal.config.{ts,mts,js,mjs} in `cwd`,
 * else the defaults. Paths in it are resolved against the file's folder. Throws ConfigError.
 */
export async function loadConfig(request: ConfigRequest): Promise<LoadedConfig> {
  const path = findConfig(request);
  const config = parse(path === undefined ? {} : await importDefault(path), path ?? 'defaults');
  const codecs = config.temporal.payloadCodecs;
  if (codecs !== undefined && path !== undefined) config.temporal.payloadCodecs = resolve(dirname(path), codecs);
  return { config, ...(path === undefined ? {} : { path }), stateDir: stateDirOf(request, config, path) };
}

function findConfig({ cwd, configPath }: ConfigRequest): string | undefined {
  if (configPath !== undefined) {
    const path = resolve(cwd, configPath);
    if (existsSync(path)) return path;
    throw new ConfigError(`The configuration file ${path} does not exist. Give --config the path of one that does.`);
  }
  return CONFIG_NAMES.map((name) => join(cwd, name)).find((path) => existsSync(path));
}

/** The default export of a module of the user's; Node strips the types of a .ts file. Throws ConfigError. */
export async function importDefault(path: string): Promise<unknown> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(path).href);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const remedy =
      code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? `Node ${process.versions.node} does not read TypeScript: use Node 22.18 or newer, or a .mjs file.`
        : 'Mend the file; it is imported as a module and must only export data.';
    throw new ConfigError(`Importing ${path} failed: ${(error as Error).message}. ${remedy}`, { cause: error });
  }
  if (typeof module === 'object' && module !== null && 'default' in module) return module.default;
  throw new ConfigError(`${path} has no default export. Write: export default { … };`);
}

function parse(value: unknown, where: string): Config {
  const parsed = Config.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`${where} is not a valid configuration:\n${describeIssues(parsed.error, '')}`);
}

function stateDirOf({ cwd, env, stateDir }: ConfigRequest, config: Config, path: string | undefined): string {
  if (stateDir !== undefined) return resolve(cwd, stateDir);
  if (env.AGENTSWARM_STATE_DIR) return resolve(cwd, env.AGENTSWARM_STATE_DIR);
  if (config.stateDir !== undefined) return resolve(path === undefined ? cwd : dirname(path), config.stateDir);
  // The XDG specification: a relative path in the variable is invalid and is to be ignored.
  const xdg = env.XDG_STATE_HOME;
  return join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.local', 'state'), 'agentswarm');
}
