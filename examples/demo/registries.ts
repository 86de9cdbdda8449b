/** The registries that the examples' `setup` asks, where this machine's names for them lead to a mirror of its own. */
import { lookup } from 'node:dns/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PUBLIC_REGISTRIES } from '../../src/shared/sandbox/public-registries.ts';

const HOSTS = [...PUBLIC_REGISTRIES.npm, ...PUBLIC_REGISTRIES.pypi];

/** What these names lead to: for `sandbox.privateAddresses`. */
export async function registryAddresses(): Promise<string[]> {
  const found = await Promise.all(HOSTS.map((host) => lookup(host, { all: true }).catch(() => [])));
  return [...new Set(found.flat().map(({ address }) => address))];
}

/** Writes `dir`/temporal.config.mjs, which the command finds: `setup` may connect there. */
export async function allowRegistries(dir: string): Promise<void> {
  const privateAddresses = await registryAddresses();
  writeFileSync(
    join(dir, 'temporal.config.mjs'),
    `export default ${JSON.stringify({ sandbox: { privateAddresses } })};\n`,
  );
}
