/** The hosts of the public package registries, which are written here and nowhere else. */

/**
 * Host names by registry: what its tools ask where nobody has told them of another. The first of each is asked for
 * what there is; the others are where its answers lead.
 */
export const PUBLIC_REGISTRIES = {
  /** `registry`, as npm and pnpm have it by default; it serves its packages itself. */
  npm: ['registry.npmjs.org'],
  /** `registry` of yarn 1 and `npmRegistryServer` of later ones; lockfiles that began with npm name npm's. */
  yarn: ['registry.yarnpkg.com', 'registry.npmjs.org'],
  /** `index-url` of pip and the default index of uv, whose pages link to the files. */
  pypi: ['pypi.org', 'files.pythonhosted.org'],
  /** `crates-io` by the sparse protocol, cargo's default since 1.70, and `dl` in its config.json. */
  cargo: ['index.crates.io', 'static.crates.io'],
  /** `go env GOPROXY` and, for modules that go.sum does not have yet, `go env GOSUMDB`. */
  go: ['proxy.golang.org', 'sum.golang.org'],
} as const;
