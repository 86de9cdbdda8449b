/** The network of one command of a sandbox on this host. */
import { existsSync } from 'node:fs';
import type { Config } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Log } from '../../support/log.ts';
import { gone } from '../gone.ts';
import { createSandboxNetwork, type NetworkSession, type SandboxNetworkDeps } from '../network/index.ts';
import type { ExecOptions } from '../provider.ts';
import type { RegistryFinder } from '../network/registry-finder.ts';
import { isSetupSandbox } from '../setup.ts';
import type { LocalHost } from './host.ts';
import { INSTALL_BUBBLEWRAP } from './isolation.ts';

export type NetworkRules = Pick<Config['sandbox'], 'network' | 'privateAddresses' | 'registryTokens'> &
  Pick<SandboxNetworkDeps, 'resolve' | 'connect' | 'ca' | 'limits'>;

/** Resolves with undefined when there is nothing to open, or nothing can be kept from the network here. */
export type OpenNetwork = (id: string, folder: string, exec: ExecOptions) => Promise<NetworkSession | undefined>;

export function createExecNetwork(deps: {
  rules: NetworkRules;
  host: LocalHost;
  finder: RegistryFinder;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
}): OpenNetwork {
  const { rules, host, finder, env, log } = deps;
  const networks = createSandboxNetwork({ ...rules, env, home: host.home, node: host.node, finder, log });

  return async (id, folder, { network = 'none', registries = [], service }) => {
    const { unisolated } = host;
    if (unisolated !== undefined && registries.length > 0) {
      throw terminal(
        FailureType.SetupFailed,
        `setup.registries cannot be used without isolation, and ${unisolated}.`,
        INSTALL_BUBBLEWRAP,
      );
    }
    if (unisolated !== undefined && service !== undefined) {
      throw terminal(
        FailureType.SandboxUnavailable,
        `An external agent cannot be run without isolation, and ${unisolated}.`,
        INSTALL_BUBBLEWRAP,
      );
    }
    const nothing = network === 'none' && registries.length === 0 && service === undefined;
    if (unisolated !== undefined || nothing) return undefined;
    try {
      const setting = isSetupSandbox(id) ? 'setup.network' : 'sandbox.network';
      const about = { sandbox: id, folder, network, registries, setting } as const;
      return await networks.open({ ...about, ...(service === undefined ? {} : { service }) });
    } catch (error) {
      if (!existsSync(folder)) throw gone(id, error);
      throw error;
    }
  };
}
