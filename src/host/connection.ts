/** How to reach Temporal: for the command's client and the worker alike, so that both use the same codecs. */
import { existsSync } from 'node:fs';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import { readServerState } from './server-state.ts';
import { ConfigError, importDefault } from './load-config.ts';
import type { Config } from '../shared/config/worker-config.ts';

/** `address` is host:port. `connection` is for Connection.connect and NativeConnection.connect alike. */
export type TemporalTarget = {
  source: 'environment' | 'config' | 'embedded';
  address: string;
  namespace: string;
  connection: NativeConnectionOptions & { address: string };
  dataConverter: DataConverter;
  /** Known for the embedded server only. */
  uiUrl?: string;
};

type Request = { config: Config; env: NodeJS.ProcessEnv };

/**
 * The server that a person has named: TEMPORAL_ADDRESS or the profile of temporal.toml (Temporal's own
 * rules), else `temporal.address` of the configuration; null when none is. Throws ConfigError.
 */
export async function externalTarget({ config, env }: Request): Promise<TemporalTarget | null> {
  const { connectionOptions, namespace } = readProfile(env);
  const address = connectionOptions.address ?? config.temporal.address;
  if (address === undefined || address === '') return null;
  return {
    source: connectionOptions.address === undefined ? 'config' : 'environment',
    address,
    namespace: namespace ?? config.temporal.namespace ?? 'default',
    connection: { ...compression(address), ...withoutUndefined(connectionOptions), address },
    dataConverter: await dataConverterOf(config),
  };
}

/** The embedded server of this state folder, wherever it was last recorded; null when there has been none. */
export async function embeddedTarget({
  config,
  stateDir,
}: {
  config: Config;
  stateDir: string;
}): Promise<TemporalTarget | null> {
  const state = readServerState(stateDir);
  if (state?.pid === undefined) return null;
  return {
    source: 'embedded',
    address: state.address,
    namespace: state.namespace,
    connection: { ...compression(state.address), address: state.address },
    dataConverter: await dataConverterOf(config),
    uiUrl: state.uiUrl,
  };
}

/** The server that a person has named, else the embedded one of `stateDir`. Throws ConfigError when there is none. */
export async function connectionOptions(request: Request & { stateDir: string }): Promise<TemporalTarget> {
  const target = (await externalTarget(request)) ?? (await embeddedTarget(request));
  if (target !== null) return target;
  throw new ConfigError(
    `No Temporal server is known: TEMPORAL_ADDRESS is not set, no profile of temporal.toml has an address, and no ` +
      `embedded server runs for ${request.stateDir}. Set TEMPORAL_ADDRESS, or start \`agentswarm dev\` first.`,
  );
}

function readProfile(env: NodeJS.ProcessEnv): ReturnType<typeof loadClientConnectConfig> {
  const variables = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''),
  );
  const file = variables.TEMPORAL_CONFIG_FILE;
  if (file !== undefined && !existsSync(file)) {
    throw new ConfigError(`TEMPORAL_CONFIG_FILE names ${file}, which does not exist. Mend or unset the variable.`);
  }
  try {
    return loadClientConnectConfig({ overrideEnvVars: variables });
  } catch (error) {
    throw new ConfigError(
      `Reading the Temporal client's settings (temporal.toml and TEMPORAL_* variables) failed: ` +
        `${(error as Error).message}. Mend the file or the variable.`,
      { cause: error },
    );
  }
}

/** What goes over loopback is not made smaller: under 100 agents gzip was 3.5 % of the server's CPU, by its profile. */
const compression = (address: string): NativeConnectionOptions =>
  /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]):\d+$/.test(address) ? { grpcCompression: { codec: 'none' } } : {};

const withoutUndefined = (options: NativeConnectionOptions): NativeConnectionOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

async function dataConverterOf(config: Config): Promise<DataConverter> {
  const path = config.temporal.payloadCodecs;
  if (path === undefined) return {};
  const codecs = await importDefault(path);
  if (Array.isArray(codecs) && codecs.every(isCodec)) return { payloadCodecs: codecs };
  throw new ConfigError(
    `temporal.payloadCodecs: the default export of ${path} is not a list of codecs. Export an array of objects ` +
      'that have encode and decode.',
  );
}

const isCodec = (value: unknown): value is PayloadCodec =>
  typeof value === 'object' && value !== null && 'encode' in value && 'decode' in value;
