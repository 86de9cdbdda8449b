/** Where sandboxes are, as the configuration says. */
import type { Config } from '../../shared/config/worker-config.ts';
import type { Log } from '../support/log.ts';
import type { Processes } from '../process/spawner.ts';
import { createLocalProvider } from './local/provider.ts';
import { createModalProvider } from './modal/provider.ts';
import type { SandboxProvider } from './provider.ts';
import type { RegistryFinder } from './network/registry-finder.ts';

/** @throws SandboxUnavailable when what the configuration asks for cannot be had here. */
export async function createSandboxProvider(options: {
  config: Config['sandbox'];
  stateDir: string;
  /** The worker's. */
  env: Readonly<Record<string, string | undefined>>;
  /** Names this host, the same after a restart. */
  owner: string;
  log: Log;
  processes?: Processes;
  finder?: RegistryFinder;
}): Promise<SandboxProvider> {
  const { config, stateDir, env, owner, log, processes, finder } = options;
  const { limits, unsafe, network, privateAddresses, registryTokens } = config;
  switch (config.provider) {
    case 'local':
      return await createLocalProvider({
        stateDir,
        limits,
        unsafe,
        env,
        log,
        network: { network, privateAddresses, registryTokens },
        ...(processes === undefined ? {} : { processes }),
        ...(finder === undefined ? {} : { finder }),
      });
    case 'modal':
      return await createModalProvider({ stateDir, owner, config: config.modal, limits, network, env, log });
  }
}
