/**
 * How a repository's dependencies are installed, by the files at its root: npm, pnpm, yarn (by their lockfiles), uv,
 * pip, cargo, go. Pure. What needs no installing (no lockfile, no dependencies, vendored modules) is not detected.
 */
import type { NetworkSetting } from '../contracts/network.ts';
import type { FoundRegistry, RegistryQuestion } from './registries.ts';
import type { Setup, SetupFields } from '../contracts/run-settings.ts';

export type DetectedSetup = {
  /** The files that told. */
  from: string[];
  command: string;
  keyFiles: string[];
  /** The registries that the command asks, each by the client whose settings say where it is. */
  registries: RegistryQuestion[];
};

/** The files whose text is looked at, not only their name. */
export const DETECTION_TEXTS = ['package.json', 'pyproject.toml', 'go.mod', 'Makefile'] as const;

export type RootFiles = {
  /** Names of all files and folders at the root. */
  names: ReadonlySet<string>;
  /** Of those in DETECTION_TEXTS that are there. */
  texts: Readonly<Partial<Record<(typeof DETECTION_TEXTS)[number], string>>>;
};

type Part = Pick<DetectedSetup, 'from' | 'command'> & { keys: readonly string[]; registry: RegistryQuestion };

/** All that is found, one command after the other; null when nothing is. */
export function detectSetup(root: RootFiles): DetectedSetup | null {
  const parts = [node(root), python(root), cargo(root), go(root)].filter((part) => part !== null);
  if (parts.length === 0) return null;
  const all = (of: (part: Part) => readonly string[]) => [...new Set(parts.flatMap(of))];
  return {
    from: all((part) => part.from),
    command: parts.map(({ command }) => command).join(' && '),
    keyFiles: all((part) => part.keys).filter((name) => root.names.has(name)),
    registries: parts.map(({ registry }) => registry),
  };
}

const LOCKFILES: readonly { lock: string; tool: 'npm' | 'pnpm' | 'yarn' }[] = [
  { lock: 'pnpm-lock.yaml', tool: 'pnpm' },
  { lock: 'yarn.lock', tool: 'yarn' },
  { lock: 'npm-shrinkwrap.json', tool: 'npm' },
  { lock: 'package-lock.json', tool: 'npm' },
];

function node({ names, texts }: RootFiles): Part | null {
  if (!names.has('package.json')) return null;
  const [, named, major] = /"packageManager"\s*:\s*"(npm|pnpm|yarn)@(\d+)/.exec(texts['package.json'] ?? '') ?? [];
  const there = LOCKFILES.filter(({ lock }) => names.has(lock));
  const found = there.find(({ tool }) => tool === named) ?? there[0];
  if (found === undefined) return null;
  const { lock, tool } = found;
  const part = (command: string, ...keys: string[]): Part => ({
    from: [lock],
    command,
    registry: { registry: tool === 'yarn' ? 'yarn' : 'npm', client: tool },
    keys: ['package.json', lock, '.npmrc', ...keys],
  });
  switch (tool) {
    case 'npm':
      return part('npm ci --no-audit --no-fund');
    case 'pnpm':
      // A store in the home would be copied into each sandbox beside node_modules.
      return part(
        'pnpm install --frozen-lockfile --store-dir "$TMPDIR/pnpm-store"',
        'pnpm-workspace.yaml',
        '.pnpmfile.cjs',
      );
    case 'yarn': {
      const modern = names.has('.yarnrc.yml') || (named === 'yarn' && Number(major) >= 2);
      return part(`yarn install ${modern ? '--immutable' : '--frozen-lockfile'}`, '.yarnrc.yml', '.yarnrc');
    }
  }
}

const DEVELOPMENT = /^(?:requirements[-_.](?:dev|test|tests)|(?:dev|test)[-_]requirements)\.txt$/;

function python({ names, texts }: RootFiles): Part | null {
  const project = texts['pyproject.toml'] ?? '';
  if (names.has('uv.lock') && names.has('pyproject.toml')) {
    return {
      from: ['uv.lock'],
      command: 'uv sync --frozen',
      keys: ['pyproject.toml', 'uv.lock', '.python-version'],
      registry: { registry: 'pypi', client: 'uv' },
    };
  }
  const install = (from: string[], what: string): Part => ({
    from,
    command: `python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check ${what}`,
    keys: [...from, 'constraints.txt', 'setup.py', 'setup.cfg'],
    registry: { registry: 'pypi', client: 'pip' },
  });
  const lists = [...names].filter((name) => name === 'requirements.txt' || DEVELOPMENT.test(name)).sort();
  if (lists.length > 0) return install(lists, lists.map((name) => `-r ${name}`).join(' '));
  if (!/^\s*\[(?:project|build-system)\]/m.test(project)) return null;
  const extras = ['dev', 'test', 'tests'].filter((name) => extrasOf(project).has(name));
  return install(['pyproject.toml'], extras.length === 0 ? '-e .' : `-e '.[${extras.join(',')}]'`);
}

/** Names in `[project.optional-dependencies]`. */
function extrasOf(project: string): Set<string> {
  const [, table = ''] =
    /^\s*\[project\.optional-dependencies\]\s*$([\s\S]*?)(?=^\s*\[[^\]\n]*\]\s*$|(?![\s\S]))/m.exec(project) ?? [];
  return new Set([...table.matchAll(/^\s*"?([A-Za-z0-9._-]+)"?\s*=/gm)].map(([, name = '']) => name));
}

function cargo({ names }: RootFiles): Part | null {
  if (!names.has('Cargo.toml')) return null;
  return {
    from: ['Cargo.toml'],
    command: names.has('Cargo.lock') ? 'cargo fetch --locked' : 'cargo fetch',
    keys: ['Cargo.toml', 'Cargo.lock', 'rust-toolchain', 'rust-toolchain.toml'],
    registry: { registry: 'cargo', client: 'cargo' },
  };
}

function go({ names, texts }: RootFiles): Part | null {
  if (!names.has('go.mod') || names.has('vendor') || !/^\s*require\b/m.test(texts['go.mod'] ?? '')) return null;
  return {
    from: ['go.mod'],
    command: 'go mod download',
    keys: ['go.mod', 'go.sum'],
    registry: { registry: 'go', client: 'go' },
  };
}

/**
 * What must be found out before `completeSetup`: where the registries of a detected command are, unless a person wrote
 * a command or said what it may reach.
 */
export const registriesToFind = (written: SetupFields | null, detected: DetectedSetup | null): RegistryQuestion[] =>
  written === null || written.command !== undefined || written.network !== undefined || detected === null
    ? []
    : detected.registries;

/**
 * What a person wrote, with what was left out filled in. A `command` of theirs is taken as it is, without network
 * unless they gave some; a detected one may reach its registries unless they said otherwise.
 * @param found the answers to `registriesToFind`.
 * @returns null when there is nothing to run.
 */
export function completeSetup(
  written: SetupFields | null,
  detected: DetectedSetup | null,
  found: readonly FoundRegistry[],
): Setup | null {
  if (written === null) return null;
  const { command, keyFiles, network, ...rest } = written;
  if (command !== undefined) return { ...rest, command, keyFiles: keyFiles ?? [], network: network ?? 'none' };
  if (detected === null) return null;
  const registries: NetworkSetting = { allow: [...new Set(found.flatMap(({ hosts }) => hosts))] };
  return {
    ...rest,
    command: detected.command,
    keyFiles: keyFiles ?? detected.keyFiles,
    network: network ?? registries,
  };
}

/** What a person is told of it at the start of a run; undefined where there is nothing to say. */
export function setupNote(
  written: SetupFields | null | undefined,
  detected: DetectedSetup | null,
  setup: Setup | null,
  found: readonly FoundRegistry[],
): string | undefined {
  if (written === undefined) {
    if (detected === null) return undefined;
    return `Sandboxes have no dependencies: ${detected.from.join(', ')} is there, but setup is not configured. "setup": "auto" in agentswarm.json would run \`${detected.command}\`, with the network of its registries only; "none" ends this note.`;
  }
  if (written === null || written.command !== undefined) return undefined;
  if (setup === null || detected === null)
    return 'setup is "auto", but no lockfile or list of dependencies was found at the root of the repository: nothing is installed.';
  const prepared = `Sandboxes are prepared by \`${setup.command}\` (detected from ${detected.from.join(', ')}; network: ${reachNote(setup, found)}).`;
  const incomplete = found.flatMap(({ client, incomplete: why }) =>
    why === undefined
      ? []
      : [
          `${client} could not install a package of our choice from there (${why}), so that hosts of downloads may be missing: "setup": {"network": {"allow": [...]}} names them all.`,
        ],
  );
  return [prepared, ...incomplete].join(' ');
}

function reachNote({ network }: Setup, found: readonly FoundRegistry[]): string {
  if (found.length > 0)
    return found
      .map(({ registry, client, hosts }) => `${hosts.join(', ')} for ${registry}, named by ${client}`)
      .join('; ');
  return typeof network === 'string' ? network : network.allow.join(', ');
}
