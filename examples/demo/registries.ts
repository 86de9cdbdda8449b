/** The registries that an example's `setup` asks, where this machine's names for them lead to a mirror of its own. */
import { lookup } from 'node:dns/promises';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRegistryFinder } from '../../src/activities/sandbox/registries/find.ts';
import { createLogger } from '../../src/host/logger.ts';
import { detectSetup } from '../../src/shared/sandbox/detect-setup.ts';
import type { Example } from '../scripted-model/example.ts';

/**
 * What the registries of the example's files lead to, as this machine's clients name them: for
 * `sandbox.privateAddresses`. What cannot be found is left out: the run itself says so when its set-up fails.
 * @param dir absolute; a folder in which the clients run, gone afterwards.
 */
export async function registryAddresses(example: Example, dir: string): Promise<string[]> {
  const names = new Set(readdirSync(join(example.dir, 'repository')));
  const questions = detectSetup({ names, texts: {} })?.registries ?? [];
  const finder = createRegistryFinder({ dir, env: process.env, log: createLogger({ AGENTSWARM_LOG_LEVEL: 'warn' }) });
  const found = await finder.find(questions).catch(() => []);
  rmSync(dir, { recursive: true, force: true });
  const hosts = found.flatMap((each) => each.hosts.map((entry) => entry.replace(/:\d+$/, '')));
  const addresses = await Promise.all(hosts.map((host) => lookup(host, { all: true }).catch(() => [])));
  return [...new Set(addresses.flat().map(({ address }) => address))];
}

/** Writes `dir`/temporal.config.mjs, which the command finds: `setup` may connect there. */
export async function allowRegistries(example: Example, dir: string): Promise<void> {
  const privateAddresses = await registryAddresses(example, join(dir, 'registries'));
  writeFileSync(
    join(dir, 'temporal.config.mjs'),
    `export default ${JSON.stringify({ sandbox: { privateAddresses } })};\n`,
  );
}
