/** Package registries by name. Where they are, the clients of the worker's host say: no host name is written here. */

export type RegistryName = 'npm' | 'yarn' | 'pypi' | 'cargo' | 'go';
/** The programs that know where a registry is: the machine's own default, or a mirror that its owner has set. */
export type RegistryClient = 'npm' | 'pnpm' | 'yarn' | 'pip' | 'uv' | 'cargo' | 'go';

/** Which registry is asked for, and the client that is to say where it is. */
export type RegistryQuestion = { registry: RegistryName; client: RegistryClient };

export type FoundRegistry = RegistryQuestion & {
  /** Entries of an allowlist, at least one: the index first, then where its answers lead. */
  hosts: string[];
  /** URLs that the client's own command gives for the registry. */
  urls: string[];
  /** Set when a package could not be installed by it: why, in a line. Then hosts of downloads may be missing. */
  incomplete?: string;
};
